// Drivers of layer and RMS normalisation: checks, blocks of rows over the threads, and the sums of the weights' gradients in an
// order that depends on the shape only.
#include "norm.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scalar16.h"
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
    void *y;
    csimd_row_statistics *statistics;
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
    pass->kernels->forward(&args, shifted(pass->y, first * args.columns, args.type), pass->statistics + first);
}

static void run_backward(void *context, size_t block, size_t worker) {
    (void)worker;
    const norm_pass *pass = context;
    size_t first;
    const csimd_row_norm_args args = block_of(pass, block, &first);
    const size_t bytes = args.columns * csimd_type_size(csimd_norm_sum_type(args.type));
    char *sums = pass->sums + 2 * block * bytes;
    memset(sums, 0, 2 * bytes);
    pass->kernels->backward(&args, pass->statistics + first, shifted(pass->dy, first * args.columns, args.type),
                            shifted(pass->y, first * args.columns, args.type), pass->wants_weight ? sums : NULL,
                            pass->wants_bias ? sums + bytes : NULL);
}

// total[j] += the sum over rows of dy n, or of dy, of columns start + j, in float64 throughout.
static void add_rows(const norm_pass *pass, bool of_weight, size_t start, size_t count, double *total) {
    const csimd_row_norm_args *g = &pass->args;
    for (size_t i = 0; i < g->rows; i++)
        for (size_t j = 0; j < count; j++) {
            const size_t at = i * g->columns + start + j;
            const double normal = of_weight ? csimd_normalized(csimd_load_f64(g->type, g->x, at), pass->statistics + i) : 1;
            total[j] += csimd_load_f64(g->type, pass->dy, at) * normal;
        }
}

static bool are_finite(size_t count, const double *x) {
    for (size_t j = 0; j < count; j++)
        if (!isfinite(x[j])) return false;
    return true;
}

// y[j] = (accumulate ? y[j] : 0) + the sum over blocks of their sums, in float64. Sums that left float32 are done again.
static void add_blocks(const norm_pass *pass, size_t blocks, bool of_weight, bool accumulate, void *y) {
    const csimd_type type = csimd_norm_sum_type(pass->args.type);
    const size_t columns = pass->args.columns;
    for (size_t start = 0; start < columns; start += COLUMNS_AT_ONCE) {
        const size_t count = csimd_minimum(columns - start, COLUMNS_AT_ONCE);
        double total[COLUMNS_AT_ONCE] = {0};
        for (size_t block = 0; block < blocks; block++) {
            const void *sums = shifted(pass->sums, (2 * block + (of_weight ? 0 : 1)) * columns + start, type);
            if (type == CSIMD_F64)
                for (size_t j = 0; j < count; j++) total[j] += ((const double *)sums)[j];
            else
                for (size_t j = 0; j < count; j++) total[j] += (double)((const float *)sums)[j];
        }
        if (type == CSIMD_F32 && !are_finite(count, total)) {
            memset(total, 0, sizeof total);
            add_rows(pass, of_weight, start, count, total);
        }
        for (size_t j = 0; j < count; j++)
            csimd_store_f64(type, y, start + j, (accumulate ? csimd_load_f64(type, y, start + j) : 0) + total[j]);
    }
}

static bool is_valid(const csimd_row_norm_args *args) {
    if ((unsigned)args->kind > CSIMD_RMS_NORM || !csimd_type_valid(args->type) || !(args->epsilon >= 0)) return false;
    if (args->columns > 0 && args->rows > PTRDIFF_MAX / sizeof(double) / args->columns) return false;
    return args->rows == 0 || args->columns == 0 || args->x != NULL;
}

csimd_status csimd_row_norm(const csimd_row_norm_args *args, void *y, csimd_row_statistics *statistics) {
    if (!is_valid(args)) return CSIMD_INVALID_ARGUMENT;
    if (args->rows == 0 || args->columns == 0) return CSIMD_OK;
    if (y == NULL || statistics == NULL) return CSIMD_INVALID_ARGUMENT;
    size_t step = BLOCK_ELEMENTS / args->columns;
    if (step == 0) step = 1;
    norm_pass pass = {.kernels = csimd_kernels()->norm, .args = *args, .step = step, .y = y, .statistics = statistics};
    const int threads = csimd_threads_for((double)args->rows * (double)args->columns, grain);
    csimd_run_tasks((args->rows + step - 1) / step, threads, run_forward, &pass);
    return CSIMD_OK;
}

csimd_status csimd_row_norm_gradient(const csimd_row_norm_args *args, const csimd_row_statistics *statistics, const void *dy,
                                     void *dx, void *weight_gradient, bool adds_to_weight, void *bias_gradient,
                                     bool adds_to_bias) {
    if (!is_valid(args)) return CSIMD_INVALID_ARGUMENT;
    const bool is_empty = args->rows == 0 || args->columns == 0;
    if (!is_empty && (dy == NULL || statistics == NULL)) return CSIMD_INVALID_ARGUMENT;
    size_t step = (args->rows + GRADIENT_BLOCKS - 1) / GRADIENT_BLOCKS;
    if (step < GRADIENT_ROWS) step = GRADIENT_ROWS;
    const size_t blocks = is_empty ? 0 : (args->rows + step - 1) / step;
    const size_t bytes = args->columns * csimd_type_size(csimd_norm_sum_type(args->type));
    char *sums = csimd_scratch(CSIMD_SCRATCH_A, 2 * blocks * bytes);
    if (sums == NULL) return CSIMD_OUT_OF_MEMORY;
    norm_pass pass = {.kernels = csimd_kernels()->norm,
                      .args = *args,
                      .step = step,
                      .y = dx,
                      .statistics = (csimd_row_statistics *)(uintptr_t)statistics,
                      .dy = dy,
                      .sums = sums,
                      .wants_weight = weight_gradient != NULL,
                      .wants_bias = bias_gradient != NULL};
    const int threads = csimd_threads_for((double)args->rows * (double)args->columns, grain);
    csimd_run_tasks(blocks, threads, run_backward, &pass);
    if (weight_gradient != NULL) add_blocks(&pass, blocks, true, adds_to_weight, weight_gradient);
    if (bias_gradient != NULL) add_blocks(&pass, blocks, false, adds_to_bias, bias_gradient);
    return CSIMD_OK;
}
