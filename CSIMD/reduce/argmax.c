// Driver of csimd_argmax. Contiguous rows: the maximum, then where it is, while the row is still in the cache. Strided ones
// (inner > 1): one pass with the best value so far of each column.
#include "reduce.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scalar16.h"

static const double elements_a_thread = 65536;

enum { block_columns = 256 };

static void argmax_columns(csimd_type type, size_t count, size_t columns, size_t row_stride, const void *x, int64_t *y) {
    double best[block_columns];
    for (size_t k = 0; k < columns; k++) {
        best[k] = csimd_load_f64(type, x, k);
        y[k] = 0;
    }
    for (size_t j = 1; j < count; j++) {
        for (size_t k = 0; k < columns; k++) {
            double value = csimd_load_f64(type, x, j * row_stride + k);
            if (best[k] == best[k] && !(value <= best[k])) {
                best[k] = value;
                y[k] = (int64_t)j;
            }
        }
    }
}

csimd_status csimd_argmax(csimd_type type, size_t outer, size_t count, size_t inner, const void *x, int64_t *y) {
    if (!csimd_type_valid(type) || count == 0) return CSIMD_INVALID_ARGUMENT;
    if (outer == 0 || inner == 0) return CSIMD_OK;
    const csimd_reduce_kernels *kernels = csimd_kernels()->reduce;
    const size_t blocks = (inner + block_columns - 1) / block_columns, tasks = outer * blocks, size = csimd_type_size(type);
    int threads = csimd_threads_for((double)outer * (double)count * (double)inner, elements_a_thread);
    if ((size_t)threads > tasks) threads = (int)tasks;
#pragma omp parallel num_threads(threads) if (threads > 1)
    {
        size_t task, end;
        csimd_share(tasks, 1, omp_get_thread_num(), omp_get_num_threads(), &task, &end);
        for (; task < end; task++) {
            const size_t i = task / blocks, begin = task % blocks * block_columns;
            const void *row = (const char *)x + (i * count * inner + begin) * size;
            int64_t *result = y + i * inner + begin;
            if (inner == 1)
                *result = (int64_t)kernels->find(type, count, row, kernels->max_row(type, count, row));
            else
                argmax_columns(type, count, csimd_minimum(block_columns, inner - begin), inner, row, result);
        }
    }
    return CSIMD_OK;
}
