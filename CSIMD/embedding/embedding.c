// Drivers of embedding and of its gradient. Threads split the looked-up rows forward, and the columns backward: each element of
// the gradient is summed by one thread, in the order of the indices.
#include "embedding.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

enum { ROWS_A_TASK = 64, COLUMNS_A_TASK = 128 };
static const double grain = 1 << 16;  // elements that one thread keeps: about 10 us of copying

typedef struct {
    const csimd_embedding_kernels *kernels;
    csimd_type type;
    size_t rows, columns, count;
    const char *x;
    const int64_t *index;
    char *y;
    bool accumulate;
} embedding_pass;

static void copy_rows(void *context, size_t task, size_t worker) {
    (void)worker;
    const embedding_pass *pass = context;
    const size_t bytes = pass->columns * csimd_type_size(pass->type), first = task * ROWS_A_TASK;
    for (size_t i = first; i < csimd_minimum(pass->count, first + ROWS_A_TASK); i++)
        memcpy(pass->y + i * bytes, pass->x + (size_t)pass->index[i] * bytes, bytes);
}

static void add_columns(void *context, size_t task, size_t worker) {
    (void)worker;
    const embedding_pass *pass = context;
    const size_t size = csimd_type_size(pass->type), sum_size = pass->type == CSIMD_F64 ? sizeof(double) : sizeof(float);
    const size_t first = task * COLUMNS_A_TASK, count = csimd_minimum(COLUMNS_A_TASK, pass->columns - first);
    if (!pass->accumulate)
        for (size_t row = 0; row < pass->rows; row++)
            memset(pass->y + (row * pass->columns + first) * sum_size, 0, count * sum_size);
    for (size_t i = 0; i < pass->count; i++)
        pass->kernels->add(pass->type, count, pass->x + (i * pass->columns + first) * size,
                           pass->y + ((size_t)pass->index[i] * pass->columns + first) * sum_size);
}

static csimd_status check(csimd_type type, size_t rows, size_t columns, size_t count, const void *x, const int64_t *index,
                          const void *y, size_t *bad) {
    const size_t most = rows > count ? rows : count;
    if (!csimd_type_valid(type) || (columns > 0 && most > PTRDIFF_MAX / sizeof(double) / columns))
        return CSIMD_INVALID_ARGUMENT;
    if (count > 0 && (index == NULL || (columns > 0 && (x == NULL || y == NULL)))) return CSIMD_INVALID_ARGUMENT;
    for (size_t i = 0; i < count; i++)
        if (index[i] < 0 || (uint64_t)index[i] >= rows) {
            if (bad != NULL) *bad = i;
            return CSIMD_BAD_TARGET;
        }
    return CSIMD_OK;
}

csimd_status csimd_embedding(csimd_type type, size_t rows, size_t columns, size_t count, const void *table,
                             const int64_t *index, void *y, size_t *bad) {
    const csimd_status status = check(type, rows, columns, count, table, index, y, bad);
    if (status != CSIMD_OK || columns == 0) return status;
    embedding_pass pass = {.type = type, .columns = columns, .count = count, .x = table, .index = index, .y = y};
    const int threads = csimd_threads_for((double)count * (double)columns, grain);
    csimd_run_tasks((count + ROWS_A_TASK - 1) / ROWS_A_TASK, threads, copy_rows, &pass);
    return CSIMD_OK;
}

csimd_status csimd_embedding_gradient(csimd_type type, size_t rows, size_t columns, size_t count, const void *dy,
                                      const int64_t *index, bool accumulate, void *table_gradient) {
    const csimd_status status = check(type, rows, columns, count, dy, index, table_gradient, NULL);
    if (status != CSIMD_OK || columns == 0) return status;
    if (rows > 0 && table_gradient == NULL) return CSIMD_INVALID_ARGUMENT;
    embedding_pass pass = {.kernels = csimd_kernels()->embedding,
                           .type = type,
                           .rows = rows,
                           .columns = columns,
                           .count = count,
                           .x = dy,
                           .index = index,
                           .y = table_gradient,
                           .accumulate = accumulate};
    const int threads = csimd_threads_for((double)(count + (accumulate ? 0 : rows)) * (double)columns, grain);
    csimd_run_tasks((columns + COLUMNS_A_TASK - 1) / COLUMNS_A_TASK, threads, add_columns, &pass);
    return CSIMD_OK;
}
