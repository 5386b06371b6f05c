// Drivers of layer and RMS normalisation: checks, blocks of rows over the threads, and the sums of the weights' gradients in an
// order that depends on the shape only.
#include "norm.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

enum {
    BLOCK_ELEMENTS = 1 << 14,  // of a block of rows: its x and y stay in L2
    GRADIENT_BLOCKS = 64,      // most partial sums of the weights' gradients, each over at least
    GRADIENT_ROWS = 32,        // as many rows
    COLUMNS_AT_ONCE = 64,      // columns whose partial sums are added up together
};
static const double grain = 1 << 15;  // elements that one thread keeps: about 10 us of work

typedef struct {
    const csimd_norm_kernels *kernels;
    csimd_row_norm_args args;
    size_t step;  // rows a block
    void *y, *mean, *inverse_deviation;
    const void *dy;
    char *sums;  // of each block: [2, columns]
    bool wants_weight, wants_bias;
} norm_pass;

static void *shifted(const void *x, size_t elements, csimd_type type) {
    return x == NULL ? NULL : (char *)(uintptr_t)x + elements * csimd_type_size(type);
}

static csimd_row_norm_args block_of(const norm_pass *pass, size_t block, size_t *first) {
    csimd_row_norm_args args = pass->args;
    *first = block * pass->step;
    args.rows = csimd_minimum(pass->step, args.rows - *first);
    args.x = shifted(args.x, *first * args.columns, args.type);
    return args;
}

static void run_forward(void *context, size_t block, size_t worker) {
    (void)worker;
    const norm_pass *pass = context;
    size_t first;
    const csimd_row_norm_args args = block_of(pass, block, &first);
    const csimd_type statistics = csimd_norm_statistics_type(args.type);
    pass->kernels->forward(&args, shifted(pass->y, first * args.columns, args.type), shifted(pass->mean, first, statistics),
                           shifted(pass->inverse_deviation, first, statistics));
}

static void run_backward(void *context, size_t block, size_t worker) {
    (void)worker;
    const norm_pass *pass = context;
    size_t first;
    const csimd_row_norm_args args = block_of(pass, block, &first);
    const csimd_type statistics = csimd_norm_statistics_type(args.type);
    const size_t bytes = args.columns * csimd_type_size(statistics);
    char *sums = pass->sums + 2 * block * bytes;
    memset(sums, 0, 2 * bytes);
    pass->kernels->backward(&args, shifted(pass->mean, first, statistics), shifted(pass->inverse_deviation, first, statistics),
                            shifted(pass->dy, first * args.columns, args.type),
                            shifted(pass->y, first * args.columns, args.type), pass->wants_weight ? sums : NULL,
                            pass->wants_bias ? sums + bytes : NULL);
}

// y[j] = (accumulate ? y[j] : 0) + sum over blocks of sums[block, j], in float64.
static void add_blocks(csimd_type type, size_t blocks, size_t columns, const char *sums, bool accumulate, void *y) {
    const size_t stride = 2 * columns;
    for (size_t start = 0; start < columns; start += COLUMNS_AT_ONCE) {
        const size_t count = csimd_minimum(columns - start, COLUMNS_AT_ONCE);
        double total[COLUMNS_AT_ONCE] = {0};
        if (type == CSIMD_F64) {
            const double *x = (const double *)(const void *)sums + start;
            double *to = (double *)y + start;
            for (size_t block = 0; block < blocks; block++)
                for (size_t j = 0; j < count; j++) total[j] += x[block * stride + j];
            for (size_t j = 0; j < count; j++) to[j] = (accumulate ? to[j] : 0) + total[j];
        } else {
            const float *x = (const float *)(const void *)sums + start;
            float *to = (float *)y + start;
            for (size_t block = 0; block < blocks; block++)
                for (size_t j = 0; j < count; j++) total[j] += (double)x[block * stride + j];
            for (size_t j = 0; j < count; j++) to[j] = (float)((accumulate ? (double)to[j] : 0) + total[j]);
        }
    }
}

static bool is_valid(const csimd_row_norm_args *args) {
    if ((unsigned)args->kind > CSIMD_RMS_NORM || !csimd_type_valid(args->type) || !(args->epsilon >= 0)) return false;
    if (args->columns > 0 && args->rows > PTRDIFF_MAX / sizeof(double) / args->columns) return false;
    return args->rows == 0 || args->columns == 0 || args->x != NULL;
}

csimd_status csimd_row_norm(const csimd_row_norm_args *args, void *y, void *mean, void *inverse_deviation) {
    if (!is_valid(args)) return CSIMD_INVALID_ARGUMENT;
    if (args->rows == 0 || args->columns == 0) return CSIMD_OK;
    if (y == NULL || inverse_deviation == NULL || (mean == NULL && args->kind == CSIMD_LAYER_NORM))
        return CSIMD_INVALID_ARGUMENT;
    size_t step = BLOCK_ELEMENTS / args->columns;
    if (step == 0) step = 1;
    norm_pass pass = {.kernels = csimd_kernels()->norm,
                      .args = *args,
                      .step = step,
                      .y = y,
                      .mean = mean,
                      .inverse_deviation = inverse_deviation};
    const int threads = csimd_threads_for((double)args->rows * (double)args->columns, grain);
    csimd_run_tasks((args->rows + step - 1) / step, threads, run_forward, &pass);
    return CSIMD_OK;
}

csimd_status csimd_row_norm_gradient(const csimd_row_norm_args *args, const void *mean, const void *inverse_deviation,
                                     const void *dy, void *dx, void *weight_gradient, bool adds_to_weight, void *bias_gradient,
                                     bool adds_to_bias) {
    if (!is_valid(args)) return CSIMD_INVALID_ARGUMENT;
    const bool is_empty = args->rows == 0 || args->columns == 0;
    if (!is_empty && (dy == NULL || inverse_deviation == NULL || (mean == NULL && args->kind == CSIMD_LAYER_NORM)))
        return CSIMD_INVALID_ARGUMENT;
    size_t step = (args->rows + GRADIENT_BLOCKS - 1) / GRADIENT_BLOCKS;
    if (step < GRADIENT_ROWS) step = GRADIENT_ROWS;
    const size_t blocks = is_empty ? 0 : (args->rows + step - 1) / step;
    const csimd_type statistics = csimd_norm_statistics_type(args->type);
    const size_t bytes = args->columns * csimd_type_size(statistics);
    char *sums = csimd_scratch(CSIMD_SCRATCH_A, 2 * blocks * bytes);
    if (sums == NULL) return CSIMD_OUT_OF_MEMORY;
    norm_pass pass = {.kernels = csimd_kernels()->norm,
                      .args = *args,
                      .step = step,
                      .y = dx,
                      .mean = (void *)(uintptr_t)mean,
                      .inverse_deviation = (void *)(uintptr_t)inverse_deviation,
                      .dy = dy,
                      .sums = sums,
                      .wants_weight = weight_gradient != NULL,
                      .wants_bias = bias_gradient != NULL};
    const int threads = csimd_threads_for((double)args->rows * (double)args->columns, grain);
    csimd_run_tasks(blocks, threads, run_backward, &pass);
    if (weight_gradient != NULL) add_blocks(statistics, blocks, args->columns, sums, adds_to_weight, weight_gradient);
    if (bias_gradient != NULL) add_blocks(statistics, blocks, args->columns, sums + bytes, adds_to_bias, bias_gradient);
    return CSIMD_OK;
}
