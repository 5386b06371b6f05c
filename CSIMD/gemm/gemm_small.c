// Small products, one thread's work: nothing is packed that can be read where it lies, and nothing is planned. Sums run from 0
// in order of p over all of k, as in the blocked path at one block of k: which of the two a product takes does not show in its
// bits. By operand, as measured against packing (AVX-512 and AVX2, thread CPU time, interleaved):
//   A float32  read in place, transposed or not: packing 64 x 256 of it took a quarter of the time of 64 x 10 x 256
//   A 16 bit   widened once into scratch, as packing does: in registers each element would cost an operation for every 1 or 2
//              multiply-adds. What is won is the plan, 60 to 100 ns, and B; hence only up to the sizes below
//   B [k, n]   read in place, 16 bit widened in registers for every tile of rows (AVX2 masks no 16-bit elements: a B whose rows
//              end inside a vector is packed there)
//   B [n, k]   packed: a transposition in registers once beats dot products unless there are few rows (gemm_skinny.c)
#include "gemm.h"

enum {
    ROWS_LIMIT = 16,            // no tile has more rows
    COLUMNS_AT_ONCE = 128,      // a multiple of every nr
    MOST_PRODUCTS = 300000,     // two threads' worth (products_worth_a_thread in gemm.c): never split
    MOST_ROWS = 512,            // of a float32 A
    MOST_ROWS_WIDENED = 128,    // of a 16-bit A that is copied tile by tile
    COPIED_WHOLE = 4096,        // elements of A that are copied in one go: 16 KiB, in L1
    FEWEST_ROWS = 4,            // fewer use B too little: the skinny path's wide tiles read it faster where it has more than
    FEW_ROWS_OF_B = 8192,       // this many elements
    SHORT_SUMS = 16,            // up to here dot products cost more to add up than B costs to transpose
    CONFLICTING_STRIDE = 2048,  // bytes: rows of A this far apart fall on two sets of L1, too few for a tile's rows
};

static inline size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

bool csimd_gemm_is_small(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    if (kernels->multiply_small == NULL || g->k == 0 || g->alpha == 0) return false;
    if (g->m > MOST_ROWS || g->k > kernels->kc || g->n >= MOST_PRODUCTS || g->m * g->n * g->k >= MOST_PRODUCTS) return false;
    if (csimd_gemm_is_of_few_columns(kernels, g)) return false;
    if (csimd_gemm_is_of_few_dots(kernels, g)) return g->k <= SHORT_SUMS;
    const size_t whole = kernels->small_reads_any_width ? COPIED_WHOLE : COPIED_WHOLE / 2;
    if (g->a_type != CSIMD_F32 && g->m * g->k > whole &&
        (g->a_transposed || g->m > MOST_ROWS_WIDENED || !kernels->small_reads_any_width))
        return false;
    return g->b_transposed || g->m >= FEWEST_ROWS || g->n * g->k <= FEW_ROWS_OF_B;
}

static bool copies_a(const csimd_gemm_args *g) {
    return g->a_type != CSIMD_F32 || (!g->a_transposed && g->lda * sizeof(float) % CONFLICTING_STRIDE == 0);
}

static size_t tile_height(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    const bool panels = g->a_transposed && copies_a(g);
    return g->n <= kernels->nr / 2 && !panels ? kernels->small_narrow_mr : kernels->mr;
}

static bool packs_b(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    return g->b_transposed || (g->b_type != CSIMD_F32 && !kernels->small_reads_any_width && g->n % (kernels->nr / 2) != 0);
}

// Rows of A that are copied at a time: all where they fit L1, else a tile's.
static size_t rows_at_once(const csimd_gemm_args *g, size_t mr) { return g->m * g->k <= COPIED_WHOLE ? g->m : mr; }

csimd_gemm_small_floats csimd_gemm_small_scratch(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g) {
    const size_t rows = rows_at_once(g, tile_height(kernels, g));
    return (csimd_gemm_small_floats){
        .a = !copies_a(g)      ? 0
             : g->a_transposed ? divide_up(rows, kernels->mr) * g->k * kernels->a_panel_width
                               : rows * kernels->a_row_stride,
        .b = packs_b(kernels, g) ? csimd_round_up(g->n, kernels->nr) * g->k : 0,
    };
}

// A few rows of C, one tile after the other: A's rows stay in L1.
static void multiply_rows(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, size_t i, size_t rows, const float *a,
                          size_t a_row, size_t a_step, const float *packed_b) {
    const csimd_type type = packed_b != NULL ? CSIMD_F32 : g->b_type;
    const bool packed = packed_b != NULL;
    if (csimd_gemm_result_is_the_sums(g)) {
        kernels->multiply_small(type, rows, g->n, g->k, a, a_row, a_step, packed ? packed_b : g->b, g->ldb, packed,
                                g->beta == 1, (float *)g->c + i * g->ldc, g->ldc, g->n);
        return;
    }
    _Alignas(CSIMD_ALIGNMENT) float sums[ROWS_LIMIT * COLUMNS_AT_ONCE];
    for (size_t j = 0; j < g->n; j += COLUMNS_AT_ONCE) {
        const size_t columns = csimd_minimum(g->n - j, COLUMNS_AT_ONCE), ldsums = csimd_round_up(columns, kernels->nr / 2);
        kernels->multiply_small(type, rows, columns, g->k, a, a_row, a_step,
                                packed ? packed_b + j * g->k : csimd_gemm_at(type, g->b, j), g->ldb, packed, false, sums,
                                ldsums, ldsums);
        kernels->finish(g, i, j, rows, columns, g->alpha, sums, ldsums);
    }
}

void csimd_gemm_small(const csimd_gemm_kernels *kernels, const csimd_gemm_args *g, float *a, float *b) {
    if (!packs_b(kernels, g)) {
        b = NULL;
    } else if (g->b_transposed) {
        kernels->pack_b_columns(g->b_type, g->b, g->ldb, g->k, g->n, b);
    } else {
        kernels->pack_b_rows(g->b_type, g->b, g->ldb, g->k, g->n, b);
    }
    const bool copies = copies_a(g);
    const size_t mr = tile_height(kernels, g), most = copies ? rows_at_once(g, mr) : g->m;
    for (size_t i = 0, rows; i < g->m; i += rows) {
        rows = csimd_gemm_next_height(g->m - i, most);
        const void *from = csimd_gemm_at(g->a_type, g->a, g->a_transposed ? i : i * g->lda);
        const float *left = from;
        size_t a_row = g->a_transposed ? 1 : g->lda, a_step = g->a_transposed ? g->lda : 1;
        if (copies) {
            (g->a_transposed ? kernels->pack_a_panels : kernels->pack_a_rows)(g->a_type, from, g->lda, rows, g->k, a);
            left = a;
            a_row = g->a_transposed ? 1 : kernels->a_row_stride;
            a_step = g->a_transposed ? kernels->a_panel_width : 1;
        }
        for (size_t ir = 0, height; ir < rows; ir += height) {
            height = csimd_gemm_next_height(rows - ir, mr);
            multiply_rows(kernels, g, i + ir, height, left, a_row, a_step, b);
            left += copies && g->a_transposed ? g->k * kernels->a_panel_width : height * a_row;
        }
    }
}
