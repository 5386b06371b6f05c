// Driver of csimd_random: checks, and runs of numbers over the threads. A number depends on its place in the stream alone.
#include "random.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

enum { task_numbers = 16 * csimd_random_run };
static const double grain = 1 << 13;  // numbers that one thread keeps: some 10 us of work

typedef struct {
    const csimd_random_kernels *kernels;
    csimd_random_rule rule;
    csimd_type type;
    size_t count, words;
    char *y;
} random_pass;

static void run_task(void *context, size_t task, size_t worker) {
    (void)worker;
    const random_pass *pass = context;
    const size_t first = task * task_numbers;
    csimd_random_rule rule = pass->rule;
    rule.position += pass->words * first;
    pass->kernels->fill(&rule, pass->type, csimd_minimum(task_numbers, pass->count - first),
                        pass->y + first * csimd_type_size(pass->type));
}

csimd_status csimd_random(csimd_distribution kind, uint64_t seed, uint64_t stream, uint64_t position, double start,
                          double scale, csimd_type type, size_t count, void *y) {
    if ((unsigned)kind > CSIMD_NORMAL || !csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    random_pass pass = {.kernels = csimd_kernels()->random,
                        .rule = {kind, seed, stream, position, start, scale},
                        .type = type,
                        .count = count,
                        .words = kind == CSIMD_NORMAL ? 2 : 1,
                        .y = y};
    csimd_run_tasks((count + task_numbers - 1) / task_numbers, csimd_threads_for((double)count, grain), run_task, &pass);
    return CSIMD_OK;
}
