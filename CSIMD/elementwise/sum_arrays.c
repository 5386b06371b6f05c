// Driver of csimd_sum_arrays: checks, joining of rows, threads.
#include "elementwise.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

static const double elements_a_thread = 131072;

enum { share_multiple = 64, parts_a_thread = 4 };

typedef struct {
    const csimd_elementwise_kernels *kernels;
    csimd_sum sum;
    size_t rows, columns, parts, y_stride;
    void *y;
} sum_call;

static void sum_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const sum_call *c = context;
    const size_t size = csimd_type_size(c->sum.y_type);
    size_t begin, end;
    if (c->rows == 1) {
        csimd_share(c->columns, share_multiple, part, c->parts, &begin, &end);
        c->kernels->sum_arrays(&c->sum, begin, end - begin, (char *)c->y + begin * size);
        return;
    }
    csimd_share(c->rows, 1, part, c->parts, &begin, &end);
    for (size_t row = begin; row < end; row++)
        c->kernels->sum_arrays(&c->sum, row * c->columns, c->columns, (char *)c->y + row * c->y_stride * size);
}

csimd_status csimd_sum_arrays(csimd_type type, size_t terms, const void *const *x, size_t rows, size_t columns, bool accumulate,
                              csimd_type y_type, void *y, size_t y_stride) {
    size_t count;
    if (!csimd_type_valid(type) || (y_type != type && (y_type != CSIMD_F32 || type == CSIMD_F64)) || terms == 0 ||
        (rows > 1 && y_stride < columns) || __builtin_mul_overflow(rows, columns, &count))
        return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    if (rows > 1 && y_stride == columns) columns = count, rows = 1;
    const int threads = csimd_threads_for((double)count, elements_a_thread);
    const size_t parts = threads == 1 ? 1 : (size_t)threads * parts_a_thread;
    sum_call all = {csimd_kernels()->elementwise, {type, y_type, terms, x, accumulate}, rows, columns, parts, y_stride, y};
    csimd_run_tasks(parts, threads, sum_part, &all);
    return CSIMD_OK;
}
