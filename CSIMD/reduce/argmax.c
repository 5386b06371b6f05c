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

typedef struct {
    const csimd_reduce_kernels *kernels;
    csimd_type type;
    size_t count, inner, blocks;
    const void *x;
    int64_t *y;
} search;

static void argmax_block(void *context, size_t task, size_t worker) {
    (void)worker;
    const search *s = context;
    const size_t i = task / s->blocks, begin = task % s->blocks * block_columns;
    const void *row = (const char *)s->x + (i * s->count * s->inner + begin) * csimd_type_size(s->type);
    int64_t *result = s->y + i * s->inner + begin;
    if (s->inner == 1)
        *result = (int64_t)s->kernels->find(s->type, s->count, row, s->kernels->max_row(s->type, s->count, row));
    else
        argmax_columns(s->type, s->count, csimd_minimum(block_columns, s->inner - begin), s->inner, row, result);
}

csimd_status csimd_argmax(csimd_type type, size_t outer, size_t count, size_t inner, const void *x, int64_t *y) {
    if (!csimd_type_valid(type) || count == 0) return CSIMD_INVALID_ARGUMENT;
    if (outer == 0 || inner == 0) return CSIMD_OK;
    const size_t blocks = (inner + block_columns - 1) / block_columns;
    search all = {csimd_kernels()->reduce, type, count, inner, blocks, x, y};
    const int threads = csimd_threads_for((double)outer * (double)count * (double)inner, elements_a_thread);
    csimd_run_tasks(outer * blocks, threads, argmax_block, &all);
    return CSIMD_OK;
}
