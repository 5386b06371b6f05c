// Drivers of softmax, log-softmax and their gradients: checks, then blocks of rows over the threads. One thread does without an
// OpenMP region: even a serialised one costs 0.3 us, as much as 10 short rows.
#include "softmax.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

typedef void (*row_kernel)(csimd_type type, size_t rows, size_t columns, const void *x, void *y);
typedef void (*gradient_kernel)(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx);

static csimd_status run_rows(row_kernel kernel, csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    if (!csimd_type_valid(type) || !csimd_softmax_shape_valid(rows, columns)) return CSIMD_INVALID_ARGUMENT;
    if (rows == 0 || columns == 0) return CSIMD_OK;
    if (x == NULL || y == NULL) return CSIMD_INVALID_ARGUMENT;
    const size_t step = csimd_softmax_rows_per_block(columns), row_bytes = columns * csimd_type_size(type);
    const int threads = csimd_threads_for((double)rows * (double)columns, csimd_softmax_grain);
    if (threads == 1) {
        for (size_t row = 0; row < rows; row += step)
            kernel(type, csimd_minimum(step, rows - row), columns, (const char *)x + row * row_bytes,
                   (char *)y + row * row_bytes);
        return CSIMD_OK;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t row = 0; row < rows; row += step)
        kernel(type, csimd_minimum(step, rows - row), columns, (const char *)x + row * row_bytes, (char *)y + row * row_bytes);
    return CSIMD_OK;
}

static csimd_status run_gradient_rows(gradient_kernel kernel, csimd_type type, size_t rows, size_t columns, const void *y,
                                      const void *dy, void *dx) {
    if (!csimd_type_valid(type) || !csimd_softmax_shape_valid(rows, columns)) return CSIMD_INVALID_ARGUMENT;
    if (rows == 0 || columns == 0) return CSIMD_OK;
    if (y == NULL || dy == NULL || dx == NULL) return CSIMD_INVALID_ARGUMENT;
    const size_t step = csimd_softmax_rows_per_block(columns), row_bytes = columns * csimd_type_size(type);
    const int threads = csimd_threads_for((double)rows * (double)columns, csimd_softmax_grain);
    if (threads == 1) {
        for (size_t row = 0; row < rows; row += step)
            kernel(type, csimd_minimum(step, rows - row), columns, (const char *)y + row * row_bytes,
                   (const char *)dy + row * row_bytes, (char *)dx + row * row_bytes);
        return CSIMD_OK;
    }
#pragma omp parallel for schedule(static) num_threads(threads)
    for (size_t row = 0; row < rows; row += step)
        kernel(type, csimd_minimum(step, rows - row), columns, (const char *)y + row * row_bytes,
               (const char *)dy + row * row_bytes, (char *)dx + row * row_bytes);
    return CSIMD_OK;
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
