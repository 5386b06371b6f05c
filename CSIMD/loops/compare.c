// Drivers of csimd_compare and csimd_select: checks and threads.
#include "loops.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

static const double elements_a_thread = 131072;

enum { share_multiple = 64, parts_a_thread = 4 };

typedef struct {
    const csimd_loops_kernels *kernels;
    csimd_comparison op;
    csimd_element type;
    size_t size, count, parts;
    const uint8_t *condition;
    const void *a, *b;
    bool repeats;
    void *y;
} call;

static void compare_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const call *c = context;
    size_t begin, end;
    csimd_share(c->count, share_multiple, part, c->parts, &begin, &end);
    c->kernels->compare(c->op, c->type, end - begin, (const char *)c->a + begin * c->size,
                        (const char *)c->b + (c->repeats ? 0 : begin * c->size), c->repeats, (uint8_t *)c->y + begin);
}

static void select_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const call *c = context;
    size_t begin, end;
    csimd_share(c->count, share_multiple, part, c->parts, &begin, &end);
    c->kernels->select(c->size, end - begin, c->condition + begin, (const char *)c->a + begin * c->size,
                       (const char *)c->b + begin * c->size, (char *)c->y + begin * c->size);
}

static void run(call *c, csimd_task task) {
    const int threads = csimd_threads_for((double)c->count, elements_a_thread);
    c->kernels = csimd_kernels()->loops;
    c->parts = threads == 1 ? 1 : (size_t)threads * parts_a_thread;
    csimd_run_tasks(c->parts, threads, task, c);
}

csimd_status csimd_compare(csimd_comparison op, csimd_element type, size_t count, const void *a, const void *b, bool repeats_b,
                           uint8_t *y) {
    const size_t size = csimd_element_size(type);
    if ((unsigned)op > CSIMD_GREATER_OR_EQUAL || size == 0) return CSIMD_INVALID_ARGUMENT;
    call all = {.op = op, .type = type, .size = size, .count = count, .a = a, .b = b, .repeats = repeats_b, .y = y};
    if (count > 0) run(&all, compare_part);
    return CSIMD_OK;
}

csimd_status csimd_select(size_t size, size_t count, const uint8_t *condition, const void *a, const void *b, void *y) {
    if (size != 1 && size != 2 && size != 4 && size != 8) return CSIMD_INVALID_ARGUMENT;
    call all = {.size = size, .count = count, .condition = condition, .a = a, .b = b, .y = y};
    if (count > 0) run(&all, select_part);
    return CSIMD_OK;
}
