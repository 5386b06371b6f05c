// Drivers of softmax, log-softmax and their gradients: checks, then blocks of rows over the threads.
#include "softmax.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

typedef void (*row_kernel)(csimd_type type, size_t rows, size_t columns, const void *x, void *y);
typedef void (*gradient_kernel)(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx);

// One of the two kernels over rows of x -> y, or of y, dy -> dx.
typedef struct {
    row_kernel kernel;
    gradient_kernel gradient;
    csimd_type type;
    size_t rows, columns;
    const void *x, *dy;
    void *result;
} row_pass;

static void run_block(void *context, size_t block, size_t worker) {
    (void)worker;
    const row_pass *pass = context;
    const size_t step = csimd_softmax_rows_per_block(pass->columns), first = block * step;
    const size_t rows = csimd_minimum(step, pass->rows - first), offset = first * pass->columns * csimd_type_size(pass->type);
    const char *x = (const char *)pass->x + offset;
    char *result = (char *)pass->result + offset;
    if (pass->gradient != NULL)
        pass->gradient(pass->type, rows, pass->columns, x, (const char *)pass->dy + offset, result);
    else
        pass->kernel(pass->type, rows, pass->columns, x, result);
}

static csimd_status run(row_pass pass) {
    if (!csimd_type_valid(pass.type) || !csimd_softmax_shape_valid(pass.rows, pass.columns)) return CSIMD_INVALID_ARGUMENT;
    if (pass.rows == 0 || pass.columns == 0) return CSIMD_OK;
    if (pass.x == NULL || pass.result == NULL || (pass.gradient != NULL && pass.dy == NULL)) return CSIMD_INVALID_ARGUMENT;
    const size_t step = csimd_softmax_rows_per_block(pass.columns);
    const int threads = csimd_threads_for((double)pass.rows * (double)pass.columns, csimd_softmax_grain);
    csimd_run_tasks((pass.rows + step - 1) / step, threads, run_block, &pass);
    return CSIMD_OK;
}

static csimd_status run_rows(row_kernel kernel, csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    return run((row_pass){.kernel = kernel, .type = type, .rows = rows, .columns = columns, .x = x, .result = y});
}

static csimd_status run_gradient_rows(gradient_kernel kernel, csimd_type type, size_t rows, size_t columns, const void *y,
                                      const void *dy, void *dx) {
    return run((row_pass){.gradient = kernel, .type = type, .rows = rows, .columns = columns, .x = y, .dy = dy, .result = dx});
}

csimd_status csimd_softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    return run_rows(csimd_kernels()->softmax->softmax, type, rows, columns, x, y);
}

csimd_status csimd_log_softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    return run_rows(csimd_kernels()->softmax->log_softmax, type, rows, columns, x, y);
}

csimd_status csimd_softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    return run_gradient_rows(csimd_kernels()->softmax->softmax_gradient, type, rows, columns, y, dy, dx);
}

csimd_status csimd_log_softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    return run_gradient_rows(csimd_kernels()->softmax->log_softmax_gradient, type, rows, columns, y, dy, dx);
}
