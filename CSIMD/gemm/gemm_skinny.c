// Products of few rows: B, used once, is read where it lies; only A is packed. The sums of up to 1,024 columns, of dot products
// with a vector each of 256, stay in L1 or L2 while blocks of k pass. Products of few columns where A's rows and B's columns
// are both contiguous are the same with the operands exchanged, and their sums turned round at last: a tile 16 lanes wide would
// have n of them in use.
#include "gemm.h"

enum {
    COLUMNS_AT_ONCE = 1024,
    COLUMNS_IN_TURN = 12,     // a multiple of every tile's width up to 4, few enough for L1
    COLUMNS_IN_PARTS = 256,   // whose vectors of sums wait in L2 between blocks of k: 16 KiB a row
    DEPTH_AT_ONCE = 64,       // rows of B read side by side, a few lines of each: few enough pages, long enough sums
    DEPTH_A_ROW = 8,          // a dot product shorter than this times the rows costs more to add up than B costs to pack
    MOST_COLUMNS = 12,        // more of them fill a vector well enough
    LONGEST_RUN = 1024,       // terms that a lane sums: then the lanes are added up, so that errors grow as in blocked products
    ONE_ROW = 8,              // blocks of k that one row has at once: no stride limits it, and its floats fit L1
    FEW_COLUMNS_DEPTH = 128,  // a dot product shorter than this costs more to add up than lanes cost that lie idle
};

bool csimd_gemm_is_of_few_dots(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    return g->b_transposed && !g->a_transposed && g->m <= 2 * kernels->few_dot_rows && g->k >= DEPTH_A_ROW * g->m;
}

bool csimd_gemm_is_of_few_columns(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    return kernels->turn != NULL && g->b_transposed && !g->a_transposed && g->n <= MOST_COLUMNS &&
           g->m > 2 * kernels->few_dot_rows && g->k >= FEW_COLUMNS_DEPTH;
}

bool csimd_gemm_is_skinny(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    if (!g->b_transposed) return g->m <= kernels->few_rows;
    return csimd_gemm_is_of_few_dots(kernels, g) || csimd_gemm_is_of_few_columns(kernels, g);
}

csimd_gemm_path csimd_gemm_choose_path(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    if (csimd_gemm_is_small(kernels, g)) return CSIMD_GEMM_SMALL;
    if (!csimd_gemm_is_skinny(kernels, g)) return CSIMD_GEMM_BLOCKED;
    if (csimd_gemm_is_of_few_columns(kernels, g)) return CSIMD_GEMM_FEW_COLUMNS;
    return g->b_transposed ? CSIMD_GEMM_FEW_DOTS : CSIMD_GEMM_FEW_ROWS;
}

// A row of sums that were turned round is a panel of B wide.
static size_t turned_width(const csimd_gemm_kernels *kernels, size_t columns) {
    return columns > kernels->nr / 2 ? kernels->nr : kernels->nr / 2;
}

// How the k of dot products is cut. Where columns are in conflict runs of pairs are long: a block of A's rows fills their
// stride, which holds twice as many of them, and a vector of sums goes on from block to block until its lanes are full. One row
// of elements needs no stride, and reads B from end to end.
typedef struct {
    size_t depth, columns;  // of a block of k; at once, whose sums wait between blocks
    size_t together;        // blocks that are summed together
} dot_plan;

static dot_plan plan_dots(const csimd_gemm_kernels *kernels, size_t rows, const csimd_gemm_args *g) {
    const bool is_row = rows == 1 && !kernels->pairs, is_long = kernels->pairs && csimd_gemm_columns_conflict(g);
    const size_t longest = kernels->kc * (is_row ? ONE_ROW : is_long ? 2 : 1), blocks = (g->k + longest - 1) / longest;
    const size_t depth = blocks == 1 ? g->k : csimd_round_up((g->k + blocks - 1) / blocks, 32);
    if (blocks == 1 || longest == kernels->kc || !kernels->pairs) return (dot_plan){depth, COLUMNS_AT_ONCE, 1};
    return (dot_plan){depth, COLUMNS_IN_PARTS, LONGEST_RUN * (kernels->nr / 2) / depth};
}

// The product of which C is the transpose, A stored row by row and B [n, k]: its result is not described.
static csimd_gemm_args with_operands_exchanged(const csimd_gemm_args *g) {
    csimd_gemm_args exchanged = *g;
    exchanged.m = g->n;
    exchanged.n = g->m;
    exchanged.a = g->b;
    exchanged.a_type = g->b_type;
    exchanged.lda = g->ldb;
    exchanged.b = g->a;
    exchanged.b_type = g->a_type;
    exchanged.ldb = g->lda;
    return exchanged;
}

csimd_gemm_skinny_floats csimd_gemm_skinny_scratch(const csimd_gemm_kernels *kernels, csimd_gemm_path path,
                                                   const csimd_gemm_args *g, size_t rows, size_t columns) {
    const bool few_columns = path == CSIMD_GEMM_FEW_COLUMNS;
    if (path == CSIMD_GEMM_FEW_ROWS) {
        const size_t panel = csimd_round_up(csimd_minimum(columns, COLUMNS_AT_ONCE), kernels->nr);
        return (csimd_gemm_skinny_floats){.a = g->k * kernels->a_panel_width, .sums = g->m * panel};
    }
    const size_t short_side = few_columns ? g->n : g->m, long_side = few_columns ? rows : columns;
    const csimd_gemm_args exchanged = with_operands_exchanged(g);
    const dot_plan plan = plan_dots(kernels, short_side, few_columns ? &exchanged : g);
    const size_t panel = csimd_round_up(csimd_minimum(long_side, plan.columns), kernels->nr);
    const size_t parts = plan.together > 1 ? short_side * panel * (kernels->nr / 2) : 0;
    const size_t turned = few_columns ? turned_width(kernels, g->n) * panel : 0;
    const size_t a = (short_side - 1) * kernels->a_row_stride + csimd_round_up(plan.depth, kernels->nr) + kernels->nr;
    return (csimd_gemm_skinny_floats){.a = a + kernels->a_row_stride, .sums = parts + short_side * panel + turned};
}

static void finish_columns(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, size_t j, size_t columns,
                           const float *sums, size_t ldsums) {
    for (size_t s = 0; s < columns; s += kernels->nr)
        kernels->finish(g, 0, j + s, g->m, csimd_minimum(columns - s, kernels->nr), g->alpha, sums + s, ldsums);
}

static void few_rows(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, float *a, float *sums) {
    if (g->a_transposed)
        kernels->pack_a_panels(g->a_type, g->a, g->lda, g->m, g->k, a);
    else
        kernels->pack_b_columns(g->a_type, g->a, g->lda, g->k, g->m, a);  // a panel of A is half a panel of B, transposed
    const bool direct = csimd_gemm_result_is_the_sums(g);
    for (size_t j = 0; j < g->n; j += COLUMNS_AT_ONCE) {
        const size_t columns = csimd_minimum(g->n - j, COLUMNS_AT_ONCE);
        const size_t ldsums = csimd_round_up(columns, kernels->nr);
        for (size_t p = 0; p < g->k; p += DEPTH_AT_ONCE) {
            const size_t run = csimd_minimum(g->k - p, DEPTH_AT_ONCE);
            const void *b = csimd_gemm_at(g->b_type, g->b, p * g->ldb + j);
            const float *left = a + p * kernels->a_panel_width;
            if (direct)
                kernels->multiply_few(g->b_type, g->m, columns, run, left, b, g->ldb, p > 0 || g->beta == 1, (float *)g->c + j,
                                      g->ldc);
            else
                kernels->multiply_few(g->b_type, g->m, columns, run, left, b, g->ldb, p > 0, sums, ldsums);
        }
        if (!direct) finish_columns(kernels, g, j, columns, sums, ldsums);
    }
}

// sums[i, s] = sum_p a[i, p] b[j + s, p] for `columns` columns, at most plan.columns; `sums` follow their parts.
static void sum_dots(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, dot_plan plan, size_t j, size_t columns,
                     float *a, float *vectors, float *sums, size_t ldsums) {
    const size_t lanes = kernels->nr / 2;
    csimd_gemm_parts parts = {.column = g->m * lanes};
    for (size_t p = 0, block = 0; p < g->k; p += plan.depth, block++) {
        const size_t run = csimd_minimum(g->k - p, plan.depth);
        parts.first = block % plan.together == 0;
        parts.last = block % plan.together == plan.together - 1 || p + run == g->k;
        parts.add = block >= plan.together;
        kernels->pack_a_rows(g->a_type, csimd_gemm_at(g->a_type, g->a, p), g->lda, g->m, run, a);
        // More rows than one tile has take turns at a few columns of B, which stay in L1 meanwhile.
        const size_t group = g->m <= kernels->few_dot_rows ? columns : COLUMNS_IN_TURN;
        for (size_t s = 0; s < columns; s += group) {
            const void *b = csimd_gemm_at(g->b_type, g->b, (j + s) * g->ldb + p);
            for (size_t i = 0, rows; i < g->m; i += rows) {
                rows = csimd_gemm_next_height(g->m - i, kernels->few_dot_rows);
                parts.sums = vectors + s * parts.column + i * lanes;
                kernels->dot_few(g->b_type, rows, csimd_minimum(columns - s, group), run, a + i * kernels->a_row_stride, b,
                                 g->ldb, parts, sums + i * ldsums + s, ldsums);
            }
        }
    }
}

static void few_dots(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, float *a, float *scratch) {
    const dot_plan plan = plan_dots(kernels, g->m, g);
    for (size_t j = 0; j < g->n; j += plan.columns) {
        const size_t columns = csimd_minimum(g->n - j, plan.columns);
        const size_t ldsums = csimd_round_up(columns, kernels->nr);
        float *sums = scratch + (plan.together > 1 ? g->m * ldsums * (kernels->nr / 2) : 0);
        sum_dots(kernels, g, plan, j, columns, a, scratch, sums, ldsums);
        finish_columns(kernels, g, j, columns, sums, ldsums);
    }
}

static void few_columns(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, float *a, float *scratch) {
    const csimd_gemm_args exchanged = with_operands_exchanged(g);
    const dot_plan plan = plan_dots(kernels, g->n, &exchanged);
    for (size_t i = 0; i < g->m; i += plan.columns) {
        const size_t rows = csimd_minimum(g->m - i, plan.columns);
        const size_t ldsums = csimd_round_up(rows, kernels->nr);
        float *sums = scratch + (plan.together > 1 ? g->n * ldsums * (kernels->nr / 2) : 0);
        sum_dots(kernels, &exchanged, plan, i, rows, a, scratch, sums, ldsums);
        float *turned = sums + g->n * ldsums;
        kernels->turn(sums, ldsums, rows, g->n, turned);
        kernels->finish(g, i, 0, rows, g->n, g->alpha, turned, turned_width(kernels, g->n));
    }
}

void csimd_gemm_skinny(const csimd_gemm_kernels *kernels, csimd_gemm_path path, const csimd_gemm_args *g, float *a,
                       float *sums) {
    if (path == CSIMD_GEMM_FEW_ROWS)
        few_rows(kernels, g, a, sums);
    else if (path == CSIMD_GEMM_FEW_COLUMNS)
        few_columns(kernels, g, a, sums);
    else
        few_dots(kernels, g, a, sums);
}
