// The GEMM driver: checks, the split of C among threads, and the five loops. Blocks and the order of every sum depend on
// the shape only, so that any number of threads gives the same bits.
#include "gemm.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

enum {
    TILE_LIMIT = 32 * 32,           // no row's tile has more elements
    ROWS_WITH_PARTIAL_SUMS = 4096,  // most rows of C a task keeps float32 sums for between blocks of k
    MOST_ROWS_BOUND_BY_MEMORY = 16  // no float16 sums for them (CSIMD.h)
};
static const double products_worth_a_thread = 1.5e5;  // two threads from 3e5: fork and join cost 1 to 5 us

// One task's scratch: a packed block of A, one of B, and the sums of a panel of C between blocks of k.
typedef struct {
    float *a, *b, *sums;
} buffers;

typedef struct {
    csimd_gemm_path path;
    size_t depth;  // length of a block of k
    size_t a_floats, b_floats, sums_floats;
} block_plan;

static inline size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

static void *shifted(csimd_type type, const void *x, size_t elements) {
    return x == NULL ? NULL : (char *)(uintptr_t)x + elements * csimd_type_size(type);
}

// The product that gives C[row ..< row + m, column ..< column + n] of product `index` of the batch.
static csimd_gemm_args part_of(const csimd_gemm_args *args, size_t index, size_t row, size_t m, size_t column, size_t n) {
    csimd_gemm_args part = *args;
    part.m = m;
    part.n = n;
    part.batch = 1;
    const size_t a_at = args->a_transposed ? row : row * args->lda;
    const size_t b_at = args->b_transposed ? column * args->ldb : column;
    part.a = shifted(args->a_type, args->a, index * args->a_stride + a_at);
    part.b = shifted(args->b_type, args->b, index * args->b_stride + b_at);
    part.c = shifted(args->c_type, args->c, index * args->c_stride + row * args->ldc + column);
    part.bias = shifted(args->bias_type, args->bias, column);
    part.aux = shifted(args->aux_type, args->aux, index * args->aux_stride + row * args->ldaux + column);
    return part;
}

static void pack_a(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, size_t i, size_t rows, size_t p, size_t depth,
                   float *packed) {
    if (g->a_transposed)
        kernels->pack_a_panels(g->a_type, csimd_gemm_at(g->a_type, g->a, p * g->lda + i), g->lda, rows, depth, packed);
    else
        kernels->pack_a_rows(g->a_type, csimd_gemm_at(g->a_type, g->a, i * g->lda + p), g->lda, rows, depth, packed);
}

static void pack_b(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, size_t p, size_t depth, size_t j,
                   size_t columns, float *packed) {
    if (g->b_transposed)
        kernels->pack_b_columns(g->b_type, csimd_gemm_at(g->b_type, g->b, j * g->ldb + p), g->ldb, depth, columns, packed);
    else
        kernels->pack_b_rows(g->b_type, csimd_gemm_at(g->b_type, g->b, p * g->ldb + j), g->ldb, depth, columns, packed);
}

// What one tile does with its sums over one block of k: adds them to C where C is nothing but the sums, else finishes them,
// through `sums` (row stride `ldsums`) while more blocks are to come.
typedef struct {
    const csimd_gemm_kernels *kernels;
    const csimd_gemm_args *g;
    bool direct, first, last;
    float *sums;
    size_t ldsums;
} tile_context;

// Lines of C that are written after the tile's sums, which take longer than memory does.
static void prefetch_result(const csimd_gemm_args *g, size_t i, size_t j, size_t rows, size_t columns) {
    const size_t bytes = columns * csimd_type_size(g->c_type);
    for (size_t r = 0; r < rows; r++) {
        const char *row = csimd_gemm_at(g->c_type, g->c, (i + r) * g->ldc + j);
        for (size_t byte = 0; byte < bytes; byte += CSIMD_ALIGNMENT) __builtin_prefetch(row + byte, 1);
    }
}

static void compute_tile(const tile_context *t, size_t i, size_t j, size_t rows, size_t columns, size_t width, size_t depth,
                         const float *a, const float *b) {
    const csimd_gemm_args *g = t->g;
    const bool panels = csimd_gemm_a_in_panels(t->kernels, g);
    if (t->last && !t->direct) prefetch_result(g, i, j, rows, columns);
    if (t->direct) {
        t->kernels->multiply(rows, columns, depth, a, panels, b, !t->first || g->beta == 1, (float *)g->c + i * g->ldc + j,
                             g->ldc);
    } else if (t->first && t->last) {
        _Alignas(CSIMD_ALIGNMENT) float tile[TILE_LIMIT];
        t->kernels->multiply(rows, width, depth, a, panels, b, false, tile, width);
        t->kernels->finish(g, i, j, rows, columns, g->alpha, tile, width);
    } else {
        float *sums = t->sums + i * t->ldsums;
        t->kernels->multiply(rows, width, depth, a, panels, b, !t->first, sums, t->ldsums);
        if (t->last) t->kernels->finish(g, i, j, rows, columns, g->alpha, sums, t->ldsums);
    }
}

// The five loops: panels of C's columns, blocks of k (B packed), blocks of rows (A packed), then tiles.
static void multiply_part(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, size_t depth, buffers scratch) {
    const bool a_in_panels = csimd_gemm_a_in_panels(kernels, g);
    tile_context t = {.kernels = kernels, .g = g, .direct = csimd_gemm_result_is_the_sums(g)};
    for (size_t j = 0; j < g->n; j += kernels->nc) {
        const size_t panel_columns = csimd_minimum(g->n - j, kernels->nc);
        t.ldsums = csimd_round_up(panel_columns, kernels->nr);
        for (size_t p = 0; p < g->k; p += depth) {
            const size_t run = csimd_minimum(g->k - p, depth);
            const size_t packed_run = csimd_gemm_packed_depth(kernels, run);
            t.first = p == 0;
            t.last = p + run == g->k;
            pack_b(kernels, g, p, run, j, panel_columns, scratch.b);
            for (size_t i = 0, rows; i < g->m; i += rows) {
                rows = csimd_gemm_next_height(g->m - i, kernels->mc);
                pack_a(kernels, g, i, rows, p, run, scratch.a);
                for (size_t jr = 0; jr < panel_columns; jr += kernels->nr) {
                    const size_t columns = csimd_minimum(panel_columns - jr, kernels->nr);
                    const bool narrow = columns <= kernels->nr / 2;
                    const size_t width = narrow ? kernels->nr / 2 : kernels->nr;
                    const size_t mr = narrow && !a_in_panels ? kernels->narrow_mr : kernels->mr;
                    const float *a = scratch.a;
                    t.sums = scratch.sums != NULL ? scratch.sums + jr : NULL;
                    for (size_t ir = 0, height; ir < rows; ir += height) {
                        height = csimd_gemm_next_height(rows - ir, mr);
                        compute_tile(&t, i + ir, j + jr, height, columns, width, run, a, scratch.b + jr * packed_run);
                        a += a_in_panels ? packed_run * kernels->a_panel_width : height * kernels->a_row_stride;
                    }
                }
            }
        }
    }
}

// k == 0 or alpha == 0: nothing is multiplied. Sums of -0 leave beta C as it is, down to the sign of a zero.
static void finish_without_sums(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    float zeros[TILE_LIMIT];
    for (size_t s = 0; s < kernels->nr; s++) zeros[s] = g->beta != 0 ? -0.0f : 0.0f;
    for (size_t j = 0; j < g->n; j += kernels->nr)
        kernels->finish(g, 0, j, g->m, csimd_minimum(g->n - j, kernels->nr), 1, zeros, 0);
}

static void run_part(const csimd_gemm_kernels *kernels, csimd_gemm_path path, const csimd_gemm_args *g, size_t depth,
                     buffers scratch) {
    if (kernels->formula != NULL)
        kernels->formula(g);
    else if (g->k == 0 || g->alpha == 0)
        finish_without_sums(kernels, g);
    else if (path == CSIMD_GEMM_SMALL)
        csimd_gemm_small(kernels, g, scratch.a, scratch.b);
    else if (path != CSIMD_GEMM_BLOCKED)
        csimd_gemm_skinny(kernels, path, g, scratch.a, scratch.sums);
    else
        multiply_part(kernels, g, depth, scratch);
}

// Floats of a packed block of A and of a packed panel of B.
static size_t packed_a_floats(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args, size_t rows, size_t depth) {
    rows = csimd_minimum(rows, kernels->mc);
    if (!csimd_gemm_a_in_panels(kernels, args)) return rows * kernels->a_row_stride;
    return divide_up(rows, kernels->mr) * csimd_gemm_packed_depth(kernels, depth) * kernels->a_panel_width;
}

static size_t packed_b_floats(const csimd_gemm_kernels *kernels, size_t columns, size_t depth) {
    const size_t panel = csimd_round_up(csimd_minimum(columns, kernels->nc), kernels->nr);
    return panel * csimd_gemm_packed_depth(kernels, depth);
}

// Blocks of k are of equal length, whatever part of C is computed.
static block_plan plan_blocks(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args, size_t rows, size_t columns) {
    if (kernels->formula != NULL || args->k == 0 || args->alpha == 0) return (block_plan){0};
    const size_t blocks = divide_up(args->k, kernels->kc);
    const size_t depth = blocks == 1 ? args->k : csimd_round_up(divide_up(args->k, blocks), 32);
    const csimd_gemm_path path = csimd_gemm_choose_path(kernels, args);
    if (path == CSIMD_GEMM_SMALL) {
        const csimd_gemm_small_floats need = csimd_gemm_small_scratch(kernels, args);
        return (block_plan){.path = path, .depth = depth, .a_floats = need.a, .b_floats = need.b};
    }
    if (path != CSIMD_GEMM_BLOCKED) {
        const csimd_gemm_skinny_floats need = csimd_gemm_skinny_scratch(kernels, path, args, rows, columns);
        return (block_plan){.path = path, .depth = depth, .a_floats = need.a, .sums_floats = need.sums};
    }
    const size_t panel = csimd_round_up(csimd_minimum(columns, kernels->nc), kernels->nr);
    const bool keeps_sums = blocks > 1 && !csimd_gemm_result_is_the_sums(args);
    return (block_plan){
        .depth = depth,
        .a_floats = packed_a_floats(kernels, args, rows, depth),
        .b_floats = packed_b_floats(kernels, columns, depth),
        .sums_floats = keeps_sums ? rows * panel : 0,
    };
}

// How C is cut: a grid of parts, at least one a thread where the tiles allow it, that packs A and B the fewest times over.
typedef struct {
    size_t row_parts, column_parts, rows, columns;  // rows and columns of a part but the last
} grid;

static grid cut(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args, size_t parts) {
    const size_t tile_rows = kernels->formula ? 1 : kernels->mr, tile_columns = kernels->formula ? 1 : kernels->nr;
    const size_t most_rows = divide_up(args->m, tile_rows), most_columns = divide_up(args->n, tile_columns);
    size_t row_parts = 1, column_parts = 1;
    double best = INFINITY;
    for (size_t r = 1; r <= parts; r++) {
        const size_t in_rows = csimd_minimum(r, most_rows), in_columns = csimd_minimum(divide_up(parts, r), most_columns);
        const double largest = (double)divide_up(most_rows, in_rows) * (double)divide_up(most_columns, in_columns);
        const double packed = (double)args->m / (double)in_rows + (double)args->n / (double)in_columns;
        const double cost = largest * (double)(tile_rows * tile_columns) + 4 * packed;
        if (cost < best) {
            best = cost;
            row_parts = in_rows;
            column_parts = in_columns;
        }
    }
    if (args->k > kernels->kc)
        row_parts = csimd_minimum(most_rows, row_parts * divide_up(args->m, row_parts * ROWS_WITH_PARTIAL_SUMS));
    const size_t rows = divide_up(args->m, row_parts);
    const size_t columns = csimd_round_up(divide_up(args->n, column_parts), tile_columns);
    return (grid){divide_up(args->m, rows), divide_up(args->n, columns), rows, columns};
}

// What the parts of all products of the batch have in common.
typedef struct {
    const csimd_gemm_kernels *kernels;
    const csimd_gemm_args *args;
    grid g;
    csimd_gemm_path path;
    size_t depth;
    struct {
        size_t a, b, sums;
    } share;  // floats a thread
    buffers scratch;
} plan_of_parts;

static void run_task(void *context, size_t task, size_t worker) {
    const plan_of_parts *plan = context;
    const csimd_gemm_args *args = plan->args;
    const grid *g = &plan->g;
    const size_t parts = g->row_parts * g->column_parts, part = task % parts;
    const size_t row = part / g->column_parts * g->rows, column = part % g->column_parts * g->columns;
    const csimd_gemm_args product = part_of(args, task / parts, row, csimd_minimum(args->m - row, g->rows), column,
                                            csimd_minimum(args->n - column, g->columns));
    const buffers scratch = {plan->scratch.a + worker * plan->share.a, plan->scratch.b + worker * plan->share.b,
                             plan->scratch.sums + worker * plan->share.sums};
    run_part(plan->kernels, plan->path, &product, plan->depth, scratch);
}

static csimd_status run(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args) {
    const double work = (double)args->m * (double)args->n * (double)(args->k + 1) * (double)args->batch;
    const int threads = csimd_threads_for(work, products_worth_a_thread);
    const grid g = cut(kernels, args, divide_up((size_t)threads, args->batch));
    const block_plan plan = plan_blocks(kernels, args, g.rows, g.columns);

    // All scratch comes from the calling thread, before anything is written: a thread's share is made whole cache lines.
    const size_t a_share = csimd_round_up(plan.a_floats, 1024), b_share = csimd_round_up(plan.b_floats, 1024);
    const size_t sums_share = csimd_round_up(plan.sums_floats, 1024);
    float *a = csimd_scratch(CSIMD_SCRATCH_A, (size_t)threads * a_share * sizeof(float));
    float *b = csimd_scratch(CSIMD_SCRATCH_B, (size_t)threads * b_share * sizeof(float));
    float *sums = csimd_scratch(CSIMD_SCRATCH_C, (size_t)threads * sums_share * sizeof(float));
    if (a == NULL || b == NULL || sums == NULL) return CSIMD_OUT_OF_MEMORY;

    plan_of_parts parts = {.kernels = kernels,
                           .args = args,
                           .g = g,
                           .path = plan.path,
                           .depth = plan.depth,
                           .share = {a_share, b_share, sums_share},
                           .scratch = {a, b, sums}};
    csimd_run_tasks(args->batch * g.row_parts * g.column_parts, threads, run_task, &parts);
    return CSIMD_OK;
}

// A product of pairs that is one thread's work and one block of k needs no plan either.
static bool is_one_block(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args) {
    const size_t most = (size_t)(2 * products_worth_a_thread);
    return kernels->pairs && !csimd_gemm_is_skinny(kernels, args) && args->k > 0 && args->alpha != 0 &&
           args->k <= kernels->kc && args->m < most && args->n < most && args->m * args->n < most &&
           args->m * args->n * args->k < most;
}

static csimd_status run_one_block(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args) {
    const size_t a_floats = packed_a_floats(kernels, args, args->m, args->k);
    float *a = csimd_scratch(CSIMD_SCRATCH_A, a_floats * sizeof(float));
    float *b = csimd_scratch(CSIMD_SCRATCH_B, packed_b_floats(kernels, args->n, args->k) * sizeof(float));
    if (a == NULL || b == NULL) return CSIMD_OUT_OF_MEMORY;
    multiply_part(kernels, args, args->k, (buffers){.a = a, .b = b});
    return CSIMD_OK;
}

// One small product needs no plan: nothing but its scratch.
static csimd_status run_small(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args) {
    const csimd_gemm_small_floats need = csimd_gemm_small_scratch(kernels, args);
    float *a = need.a > 0 ? csimd_scratch(CSIMD_SCRATCH_A, need.a * sizeof(float)) : NULL;
    float *b = need.b > 0 ? csimd_scratch(CSIMD_SCRATCH_B, need.b * sizeof(float)) : NULL;
    if ((need.a > 0 && a == NULL) || (need.b > 0 && b == NULL)) return CSIMD_OUT_OF_MEMORY;
    csimd_gemm_small(kernels, args, a, b);
    return CSIMD_OK;
}

static bool is_operand(csimd_type type, const void *x, size_t rows, size_t width, size_t ld) {
    size_t elements;
    if (type != CSIMD_F32 && type != CSIMD_F16 && type != CSIMD_BF16) return false;
    if (ld < width || __builtin_mul_overflow(rows, ld, &elements) || elements > PTRDIFF_MAX / sizeof(float)) return false;
    return x != NULL || rows == 0 || width == 0;
}

// The kernels chosen for two bf16 or two f16 operands where they may and can compute the product, else the row's own.
static const csimd_gemm_kernels *kernels_for(const csimd_gemm_args *args) {
    const csimd_row *row = csimd_kernels();
    if (args->a_type == CSIMD_F16 && args->b_type == CSIMD_F16 && args->m > MOST_ROWS_BOUND_BY_MEMORY) {
        const csimd_gemm_kernels *chunked = csimd_chosen_f16(row);
        return chunked != NULL ? chunked : row->gemm;
    }
    if (args->a_type != CSIMD_BF16 || args->b_type != CSIMD_BF16 || row->gemm_bf16 == NULL) return row->gemm;
    // No native kernel reads B [k, n] in place; and one row's B is read faster than it can be looked through for subnormals.
    const bool few_rows = args->b_transposed ? args->m == 1 && !args->a_transposed : args->m <= row->gemm->few_rows;
    return few_rows ? row->gemm : csimd_chosen_bf16(row);
}

csimd_status csimd_gemm(const csimd_gemm_args *args) {
    const size_t m = args->m, n = args->n, k = args->k;
    const bool reads_ab = k > 0 && args->alpha != 0 && m > 0 && n > 0;
    const void *unread = args;  // stands for an operand that may be NULL because it is not read
    if (!is_operand(args->a_type, reads_ab ? args->a : unread, args->a_transposed ? k : m, args->a_transposed ? m : k,
                    args->lda) ||
        !is_operand(args->b_type, reads_ab ? args->b : unread, args->b_transposed ? n : k, args->b_transposed ? k : n,
                    args->ldb) ||
        !is_operand(args->c_type, args->c, m, n, args->ldc))
        return CSIMD_INVALID_ARGUMENT;
    if (args->bias != NULL && !is_operand(args->bias_type, args->bias, 1, n, n)) return CSIMD_INVALID_ARGUMENT;
    const bool needs_aux = args->epilogue == CSIMD_EPILOGUE_RELU_GRADIENT || args->epilogue == CSIMD_EPILOGUE_GELU_GRADIENT;
    const bool has_aux = needs_aux || (args->epilogue == CSIMD_EPILOGUE_GELU && args->aux != NULL);
    if ((unsigned)args->epilogue > CSIMD_EPILOGUE_GELU_GRADIENT) return CSIMD_INVALID_ARGUMENT;
    if (has_aux && !is_operand(args->aux_type, args->aux, m, n, args->ldaux)) return CSIMD_INVALID_ARGUMENT;
    if (args->batch == 0 || (args->batch > 1 && args->c_stride == 0)) return CSIMD_INVALID_ARGUMENT;
    if (m == 0 || n == 0) return CSIMD_OK;
    const csimd_gemm_kernels *kernels = kernels_for(args);
    if (args->batch == 1 && csimd_gemm_is_small(kernels, args)) return run_small(kernels, args);
    if (args->batch == 1 && is_one_block(kernels, args)) return run_one_block(kernels, args);
    return run(kernels, args);
}
