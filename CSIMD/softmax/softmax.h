// Kernels of the family "softmax": a block of rows in one thread. The drivers (softmax.c, nll.c) have checked the arguments,
// cut the rows into blocks and advanced the pointers.
#ifndef CSIMD_SOFTMAX_H
#define CSIMD_SOFTMAX_H

#include "../support/internal.h"

typedef struct {
    // y = softmax(x) and y = log-softmax(x) along rows of x [rows, columns]; x == y is allowed.
    void (*softmax)(csimd_type type, size_t rows, size_t columns, const void *x, void *y);
    void (*log_softmax)(csimd_type type, size_t rows, size_t columns, const void *x, void *y);

    // dx = y (dy - sum_j dy_j y_j) and dx = dy - exp(y) sum_j dy_j; dx == dy is allowed.
    void (*softmax_gradient)(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx);
    void (*log_softmax_gradient)(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx);

    // Both as in CSIMD.h for the rows of `block`, at most csimd_nll_block_rows; weight_total = sum_c w_c, read where
    // label_smoothing > 0. Forward adds nothing up outside its block: *loss_sum and *weight_sum are the block's own.
    // log_sum_exp is NaN in a row without a distribution (only -inf, or with +inf or NaN), and so is all of its gradient.
    void (*nll_forward)(const csimd_nll_args *block, double weight_total, void *row_loss, void *log_sum_exp, double *loss_sum,
                        double *weight_sum);
    void (*nll_backward)(const csimd_nll_args *block, double weight_total, const void *log_sum_exp, const void *row_scale,
                         double scale, void *gradient);

    // Both in one reading, without row_scale; exps: csimd_nll_scratch_floats(columns) floats.
    void (*nll_both)(const csimd_nll_args *block, double weight_total, void *row_loss, void *log_sum_exp, double *loss_sum,
                     double *weight_sum, double scale, void *gradient, float *exps);
} csimd_softmax_kernels;

// Rows are read in blocks of this many columns: the maximum first, then, from the L1 cache, the exponentials.
enum { csimd_softmax_block_columns = 4096 };

// The exponentials of a row, and each of its blocks' maximum.
static inline size_t csimd_nll_scratch_floats(size_t columns) { return columns + columns / csimd_softmax_block_columns + 1; }

enum { csimd_nll_block_rows = 64 };

extern const csimd_softmax_kernels csimd_softmax_kernels_ref;
extern const csimd_softmax_kernels csimd_softmax_kernels_avx2;
extern const csimd_softmax_kernels csimd_softmax_kernels_avx512;

// Rows a block: 64, fewer where rows are long (about 32 k elements), so that a block stays in the L2 cache. A function of
// `columns` alone, so that sums over blocks do not depend on the thread count.
static inline size_t csimd_softmax_rows_per_block(size_t columns) {
    size_t rows = ((size_t)1 << 15) / (columns ? columns : 1);
    if (rows > csimd_nll_block_rows) return csimd_nll_block_rows;
    return rows ? rows : 1;
}

// Elements that one thread keeps: about 10 us of work, against a fork of 1 to 8 us.
enum { csimd_softmax_grain = 1 << 15 };

static inline csimd_type csimd_softmax_accumulation_type(csimd_type type) { return type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32; }

// rows * columns elements of 8 bytes can be addressed.
static inline bool csimd_softmax_shape_valid(size_t rows, size_t columns) {
    return columns == 0 || rows <= PTRDIFF_MAX / sizeof(double) / columns;
}

#endif
