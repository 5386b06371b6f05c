// Driver of dropout: checks, and chunks of elements over the threads. An element's mask depends on its index alone.
#include "dropout.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

enum { TASK = 16 * csimd_dropout_chunk };
static const double grain = 1 << 14;  // elements that one thread keeps: about 10 us of work

typedef struct {
    const csimd_dropout_kernels *kernels;
    csimd_dropout_rule rule;
    csimd_type type;
    size_t count;
    const char *x;
    char *y;
} dropout_pass;

static void run_task(void *context, size_t task, size_t worker) {
    (void)worker;
    const dropout_pass *pass = context;
    const size_t first = task * TASK, offset = first * csimd_type_size(pass->type);
    csimd_dropout_rule rule = pass->rule;
    rule.position += first;
    pass->kernels->drop(&rule, pass->type, csimd_minimum(TASK, pass->count - first), pass->x + offset, pass->y + offset);
}

csimd_status csimd_dropout(csimd_type type, size_t count, const void *x, double probability, uint64_t seed, uint64_t stream,
                           uint64_t position, void *y) {
    if (!csimd_type_valid(type) || !(probability >= 0 && probability <= 1)) return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    if (x == NULL || y == NULL) return CSIMD_INVALID_ARGUMENT;
    dropout_pass pass = {.kernels = csimd_kernels()->dropout,
                         .rule = {.seed = seed,
                                  .stream = stream,
                                  .position = position,
                                  .threshold = (uint64_t)ceil(probability * 0x1p53),
                                  .scale = probability == 1 ? 0 : 1 / (1 - probability)},
                         .type = type,
                         .count = count,
                         .x = x,
                         .y = y};
    csimd_run_tasks((count + TASK - 1) / TASK, csimd_threads_for((double)count, grain), run_task, &pass);
    return CSIMD_OK;
}
