// Driver of rotary positions: rows over the threads.
#include "embedding.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

enum { ROWS_A_TASK = 32 };
static const double grain = 1 << 15;  // elements that one thread keeps: about 10 us of work

typedef struct {
    const csimd_embedding_kernels *kernels;
    const csimd_rotary_args *args;
} rotary_pass;

static void rotate_rows(void *context, size_t task, size_t worker) {
    (void)worker;
    const rotary_pass *pass = context;
    const csimd_rotary_args *g = pass->args;
    const size_t size = csimd_type_size(g->type), angle_size = g->type == CSIMD_F64 ? sizeof(double) : sizeof(float);
    const size_t width = g->heads * g->head_size, first = task * ROWS_A_TASK;
    for (size_t i = first; i < csimd_minimum(g->rows, first + ROWS_A_TASK); i++) {
        const size_t angles = (g->first_position + i % g->period) * (g->head_size / 2) * angle_size;
        pass->kernels->rotate(g->type, g->heads, g->head_size, (const char *)g->x + i * g->x_stride * size,
                              (const char *)g->cosine + angles, (const char *)g->sine + angles, g->inverse ? -1 : 1,
                              (char *)g->y + i * width * size);
    }
}

csimd_status csimd_rotary(const csimd_rotary_args *args) {
    if (!csimd_type_valid(args->type) || args->head_size % 2 != 0 || args->period == 0) return CSIMD_INVALID_ARGUMENT;
    if (args->x_stride < args->heads * args->head_size) return CSIMD_INVALID_ARGUMENT;
    if (args->rows == 0 || args->heads == 0 || args->head_size == 0) return CSIMD_OK;
    if (args->x == NULL || args->y == NULL || args->cosine == NULL || args->sine == NULL) return CSIMD_INVALID_ARGUMENT;
    rotary_pass pass = {csimd_kernels()->embedding, args};
    const int threads = csimd_threads_for((double)args->rows * (double)(args->heads * args->head_size), grain);
    csimd_run_tasks((args->rows + ROWS_A_TASK - 1) / ROWS_A_TASK, threads, rotate_rows, &pass);
    return CSIMD_OK;
}
