// The GEMM family's contract: what an instruction set supplies (packing, one micro-kernel, one finishing pass) and the
// block sizes it wants. The loops over blocks are in gemm.c and are the same for all.
#ifndef CSIMD_GEMM_H
#define CSIMD_GEMM_H

#include "../support/internal.h"

// Where vectors of sums wait between blocks of k (dot_few).
typedef struct {
    bool first, last;  // of the blocks of k that are summed together: the sums begin at 0; their lanes are added up into C
    bool add;          // to what C has
    float *sums;       // element (i, j)'s vector at j * column + i * (nr / 2); not touched where the block is first and last
    size_t column;
} csimd_gemm_parts;

// A block of op(A) is kept in one of two layouts, both float32, so that neither needs a transposing pack:
//   rows    A not transposed: element (i, p) at i * a_row_stride + p; the stride is odd in cache lines (no set conflicts)
//   panels  A transposed:     panels of tile height, element (i, p) of a panel at p * a_panel_width + i
// op(B) is packed in panels of nr columns, element (p, j) at p * nr + j; a last panel of at most nr / 2 columns is packed
// nr / 2 wide. Kernels of pairs take bf16 alone and have the same layouts with pairs in place of elements. Columns past the
// edge, and rows past a panel's height, hold anything; what they produce is never stored.
// A run of a gathered operand's rows: row r has `length` elements from element row_at[r] + at of its array on, run after run.
typedef struct {
    size_t at, length;
} csimd_gemm_run;

typedef struct csimd_gemm_kernels {
    size_t mr, narrow_mr;  // tile height for panels of nr and of nr / 2 columns (narrow_mr in the rows layout only)
    size_t nr;             // tile width
    size_t kc, mc, nc;     // block sizes; kc is also the longest run summed in one register
    size_t a_row_stride, a_panel_width;
    // A packed float holds two 16-bit elements, with bf16 those of p and p + 1; panels end in one vector more, of marks.
    bool pairs;
    bool a_in_rows;  // pack_a_panels makes rows too

    // Widen rows x depth elements of A, stored [rows, depth] (pack_a_rows) or [depth, rows] (pack_a_panels).
    void (*pack_a_rows)(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed);
    void (*pack_a_panels)(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed);
    // Widen depth x columns elements of B, stored [depth, columns] (pack_b_rows) or [columns, depth] (pack_b_columns).
    void (*pack_b_rows)(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed);
    void (*pack_b_columns)(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed);

    // pack_a_rows of a gathered A [rows, depth], pack_b_rows of a gathered B [depth, columns]; the latter may write one vector
    // past its panels. NULL where there is no such packing.
    void (*pack_a_gathered)(csimd_type type, const void *x, const size_t *row_at, size_t rows, const csimd_gemm_run *runs,
                            size_t run_count, float *packed);
    void (*pack_b_gathered)(csimd_type type, const void *x, const size_t *row_at, size_t depth, const csimd_gemm_run *runs,
                            size_t columns, float *packed);

    // c[i, j] = (add ? c[i, j] : 0) + sum_p a[i, p] b[p, j] for one tile, the sum formed from 0 in order of p.
    // rows <= mr (narrow_mr where it may be), columns <= nr.
    void (*multiply)(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                     float *c, size_t ldc);

    // C[i + r, j + s] = round(epilogue(alpha sums[r, s] + beta C + bias)) for r < rows, s < columns; `args` points
    // at the product's own matrices. sums is float32 with row stride ldsums, its rows readable to whole vectors.
    void (*finish)(const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns, float alpha, const float *sums,
                   size_t ldsums);

    // Products of few rows, B read where it lies. B stored [depth, columns], at most few_rows rows, a as a panel; or B stored
    // [columns, depth], at most few_dot_rows rows at a time, a in the rows layout, followed by zeros up to a whole vector.
    // c[i, j] = (add ? c[i, j] : 0) + sum_p a[i, p] b[p, j]. Dot products of pairs have a vector of sums an element that goes
    // on over blocks of k: between them it waits in `parts`. Those of elements are given blocks that are both first and last.
    size_t few_rows, few_dot_rows;
    void (*multiply_few)(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                         bool add, float *c, size_t ldc);
    void (*dot_few)(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                    csimd_gemm_parts parts, float *c, size_t ldc);

    // turned[p * width + j] = x[j * ldx + p], as pack_b_columns makes a panel of at most nr columns of float32.
    void (*turn)(const float *x, size_t ldx, size_t depth, size_t columns, float *turned);

    // Small products: a row of tiles of `multiply` with A float32, element (i, p) at i * a_row + p * a_step, and B of `type`
    // read where it lies, stored [depth, columns], or packed, then float32. rows <= mr (small_narrow_mr where there are at most
    // nr / 2 columns); c_columns >= columns is how far a last vector may be written. Rows of a 16-bit B that end inside a
    // vector only where small_reads_any_width.
    size_t small_narrow_mr;
    bool small_reads_any_width;
    void (*multiply_small)(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, size_t a_row,
                           size_t a_step, const void *b, size_t ldb, bool b_packed, bool add, float *c, size_t ldc,
                           size_t c_columns);

    // The whole product by its formula; a row that has this needs nothing else.
    void (*formula)(const csimd_gemm_args *args);
} csimd_gemm_kernels;

extern const csimd_gemm_kernels csimd_gemm_ref;
extern const csimd_gemm_kernels csimd_gemm_ref_chunked;
#if CSIMD_X86
extern const csimd_gemm_kernels csimd_gemm_avx2;
extern const csimd_gemm_kernels csimd_gemm_avx512;
extern const csimd_gemm_kernels csimd_gemm_avx512_bf16;
extern const csimd_gemm_kernels csimd_gemm_amx_bf16, csimd_gemm_amx_bf16_emulated;
extern const csimd_gemm_kernels csimd_gemm_avx512_fp16, csimd_gemm_avx512_fp16_emulated;
// A tile of packed pairs without a look at marks: subnormal elements count as zero.
void csimd_gemm_multiply_avx512_bf16(size_t rows, size_t columns, size_t pairs, const float *a, bool a_in_panels,
                                     const float *b, bool add, float *c, size_t ldc);
void csimd_gemm_turn_avx512(const float *x, size_t ldx, size_t depth, size_t columns, float *turned);
void csimd_gemm_finish_avx512(const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns, float alpha,
                              const float *sums, size_t ldsums);
void csimd_gemm_finish_avx512_bf16(const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns, float alpha,
                                   const float *sums, size_t ldsums);
void csimd_gemm_few_avx2(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                         bool add, float *c, size_t ldc);
void csimd_gemm_dot_avx2(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b, size_t ldb,
                         csimd_gemm_parts parts, float *c, size_t ldc);
void csimd_gemm_few_avx512(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b,
                           size_t ldb, bool add, float *c, size_t ldc);
void csimd_gemm_dot_avx512(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b,
                           size_t ldb, csimd_gemm_parts parts, float *c, size_t ldc);
void csimd_gemm_dot_avx512_bf16(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, const void *b,
                                size_t ldb, csimd_gemm_parts parts, float *c, size_t ldc);
void csimd_gemm_small_avx2(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, size_t a_row,
                           size_t a_step, const void *b, size_t ldb, bool b_packed, bool add, float *c, size_t ldc,
                           size_t c_columns);
void csimd_gemm_small_avx512(csimd_type type, size_t rows, size_t columns, size_t depth, const float *a, size_t a_row,
                             size_t a_step, const void *b, size_t ldb, bool b_packed, bool add, float *c, size_t ldc,
                             size_t c_columns);
#endif

// Which way a product goes; decided by the shape of the whole, so that every part of C is computed the same way.
typedef enum {
    CSIMD_GEMM_BLOCKED,
    CSIMD_GEMM_FEW_ROWS,
    CSIMD_GEMM_FEW_DOTS,
    CSIMD_GEMM_FEW_COLUMNS,
    CSIMD_GEMM_SMALL
} csimd_gemm_path;
csimd_gemm_path csimd_gemm_choose_path(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args);

// Floats of scratch that a small product needs for A and B, and the product (gemm_small.c).
typedef struct {
    size_t a, b;
} csimd_gemm_small_floats;
bool csimd_gemm_is_skinny(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args);  // few rows, B in either layout
bool csimd_gemm_is_of_few_columns(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args);
bool csimd_gemm_is_of_few_dots(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args);
bool csimd_gemm_is_small(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args);
csimd_gemm_small_floats csimd_gemm_small_scratch(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args);
void csimd_gemm_small(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args, float *a, float *b);

// Scratch that a product of few rows needs, and the product (gemm_skinny.c).
typedef struct {
    size_t a, sums;
} csimd_gemm_skinny_floats;
csimd_gemm_skinny_floats csimd_gemm_skinny_scratch(const csimd_gemm_kernels *kernels, csimd_gemm_path path,
                                                   const csimd_gemm_args *args, size_t rows, size_t columns);
void csimd_gemm_skinny(const csimd_gemm_kernels *kernels, csimd_gemm_path path, const csimd_gemm_args *args, float *a,
                       float *sums);

// Columns of a B stored [n, k] that are a multiple of 4 KiB apart share one set of L1, which has 12 lines or fewer: long dot
// products then read two columns at a time, in runs as long as can be. Elsewhere four in shorter runs are faster.
static inline bool csimd_gemm_columns_conflict(const csimd_gemm_args *args) {
    return args->b_transposed && args->k > 1024 && args->ldb * csimd_type_size(args->b_type) % 4096 == 0;
}

// C is nothing but the sums, or C plus the sums: no finishing pass is needed.
static inline bool csimd_gemm_result_is_the_sums(const csimd_gemm_args *args) {
    return args->c_type == CSIMD_F32 && args->alpha == 1 && (args->beta == 0 || args->beta == 1) && args->bias == NULL &&
           args->epilogue == CSIMD_EPILOGUE_NONE;
}

// Height of the next tile where `left` rows remain: as few tiles as `mr` allows, their heights differing by at most one.
static inline size_t csimd_gemm_next_height(size_t left, size_t mr) {
    size_t tiles = (left + mr - 1) / mr;
    return (left + tiles - 1) / tiles;
}

static inline bool csimd_gemm_a_in_panels(const csimd_gemm_kernels *kernels, const csimd_gemm_args *args) {
    return args->a_transposed && !kernels->a_in_rows;
}

// Vectors that a panel of `depth` elements a row or column is long when packed.
static inline size_t csimd_gemm_packed_depth(const csimd_gemm_kernels *kernels, size_t depth) {
    return kernels->pairs ? (depth + 1) / 2 + 1 : depth;
}

// Address of element `index` of an array of `type`.
static inline const void *csimd_gemm_at(csimd_type type, const void *x, size_t index) {
    return (const char *)x + index * csimd_type_size(type);
}

#endif
