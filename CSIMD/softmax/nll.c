// Drivers of the fused log-softmax + negative log-likelihood: every target is checked before anything is written; then fixed
// blocks of rows over the threads, whose float64 sums are added in the order of the blocks.
#include "softmax.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

typedef struct {
    double loss, weight;
} block_sums;

static csimd_status check(const csimd_nll_args *args, size_t *bad_row) {
    if (args == NULL || !csimd_type_valid(args->type)) return CSIMD_INVALID_ARGUMENT;
    if (!csimd_softmax_shape_valid(args->rows, args->columns)) return CSIMD_INVALID_ARGUMENT;
    if (!(args->label_smoothing >= 0 && args->label_smoothing <= 1)) return CSIMD_INVALID_ARGUMENT;
    if (args->rows == 0) return CSIMD_OK;
    if (args->targets == NULL || (args->columns != 0 && args->logits == NULL)) return CSIMD_INVALID_ARGUMENT;
    for (size_t row = 0; row < args->rows; row++) {
        int64_t target = args->targets[row];
        if (target == args->ignore_index || (target >= 0 && (uint64_t)target < args->columns)) continue;
        if (bad_row != NULL) *bad_row = row;
        return CSIMD_BAD_TARGET;
    }
    return CSIMD_OK;
}

// sum_c w_c, which only label smoothing needs.
static double total_weight(const csimd_nll_args *args) {
    if (args->label_smoothing == 0) return 0;
    if (args->class_weights == NULL) return (double)args->columns;
    double sum = 0;
    for (size_t column = 0; column < args->columns; column++) sum += args->class_weights[column];
    return sum;
}

static csimd_nll_args block_of_rows(const csimd_nll_args *args, size_t first_row, size_t rows) {
    csimd_nll_args block = *args;
    block.rows = rows;
    block.logits = (const char *)args->logits + first_row * args->columns * csimd_type_size(args->type);
    block.targets = args->targets + first_row;
    return block;
}

csimd_status csimd_nll_forward(const csimd_nll_args *args, void *row_loss, void *log_sum_exp, double *loss_sum,
                               double *weight_sum, size_t *bad_row) {
    csimd_status status = check(args, bad_row);
    if (status != CSIMD_OK) return status;
    if (loss_sum == NULL || weight_sum == NULL || (args->rows != 0 && log_sum_exp == NULL)) return CSIMD_INVALID_ARGUMENT;
    const size_t step = csimd_softmax_rows_per_block(args->columns), blocks = (args->rows + step - 1) / step;
    block_sums few[16], *sums = blocks <= 16 ? few : csimd_scratch(CSIMD_SCRATCH_A, blocks * sizeof(block_sums));
    if (sums == NULL) return CSIMD_OUT_OF_MEMORY;

    const csimd_softmax_kernels *kernels = csimd_kernels()->softmax;
    const double weights = total_weight(args);
    const size_t result_bytes = csimd_type_size(csimd_softmax_accumulation_type(args->type));
    const int threads = csimd_threads_for((double)args->rows * (double)args->columns, csimd_softmax_grain);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t i = 0; i < blocks; i++) {
        size_t row = i * step;
        csimd_nll_args block = block_of_rows(args, row, csimd_minimum(step, args->rows - row));
        kernels->nll_forward(&block, weights, row_loss == NULL ? NULL : (char *)row_loss + row * result_bytes,
                             (char *)log_sum_exp + row * result_bytes, &sums[i].loss, &sums[i].weight);
    }
    *loss_sum = 0;
    *weight_sum = 0;
    for (size_t i = 0; i < blocks; i++) {
        *loss_sum += sums[i].loss;
        *weight_sum += sums[i].weight;
    }
    return CSIMD_OK;
}

csimd_status csimd_nll_backward(const csimd_nll_args *args, const void *log_sum_exp, const void *row_scale, double scale,
                                void *gradient) {
    csimd_status status = check(args, NULL);
    if (status != CSIMD_OK || args->rows == 0 || args->columns == 0) return status;
    if (log_sum_exp == NULL || gradient == NULL) return CSIMD_INVALID_ARGUMENT;

    const csimd_softmax_kernels *kernels = csimd_kernels()->softmax;
    const double weights = total_weight(args);
    const size_t step = csimd_softmax_rows_per_block(args->columns);
    const size_t row_bytes = args->columns * csimd_type_size(args->type);
    const size_t result_bytes = csimd_type_size(csimd_softmax_accumulation_type(args->type));
    const int threads = csimd_threads_for((double)args->rows * (double)args->columns, csimd_softmax_grain);
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
    for (size_t row = 0; row < args->rows; row += step) {
        csimd_nll_args block = block_of_rows(args, row, csimd_minimum(step, args->rows - row));
        kernels->nll_backward(&block, weights, (const char *)log_sum_exp + row * result_bytes,
                              row_scale == NULL ? NULL : (const char *)row_scale + row * result_bytes, scale,
                              (char *)gradient + row * row_bytes);
    }
    return CSIMD_OK;
}
