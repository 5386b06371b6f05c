// Driver of csimd_cast: checks and threads. 16-bit types pass through float32, a run of elements at a time; integers that
// float32 does not hold become odd neighbours there, so that the result is rounded once.
#include "loops.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

static const double elements_a_thread = 131072;

enum { share_multiple = 1024, parts_a_thread = 4, run = 1024 };

typedef struct {
    const csimd_loops_kernels *kernels;
    const csimd_convert_kernels *convert;
    csimd_element from, to;
    const char *x;
    char *y;
    size_t count, parts;
} cast_call;

static bool is_16_bit(csimd_element type) { return type == CSIMD_F16 || type == CSIMD_BF16; }

static void cast_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const cast_call *c = context;
    const size_t from_size = csimd_element_size(c->from), to_size = csimd_element_size(c->to);
    size_t begin, end;
    csimd_share(c->count, share_multiple, part, c->parts, &begin, &end);
    if (!is_16_bit(c->from) && !is_16_bit(c->to)) {
        c->kernels->cast(c->from, c->x + begin * from_size, c->to, false, c->y + begin * to_size, end - begin);
        return;
    }
    float wide[run];
    for (; begin < end; begin += run) {
        const size_t length = csimd_minimum(run, end - begin);
        const void *x = c->x + begin * from_size;
        void *y = c->y + begin * to_size;
        if (is_16_bit(c->from)) {
            c->convert->convert((csimd_type)c->from, x, CSIMD_F32, wide, length, false);
            c->kernels->cast(CSIMD_F32, wide, c->to, false, y, length);
        } else {
            c->kernels->cast(c->from, x, CSIMD_F32, true, wide, length);
            c->convert->convert(CSIMD_F32, wide, (csimd_type)c->to, y, length, false);
        }
    }
}

csimd_status csimd_cast(csimd_element from, const void *x, csimd_element to, void *y, size_t count) {
    if (csimd_element_size(from) == 0 || csimd_element_size(to) == 0) return CSIMD_INVALID_ARGUMENT;
    if (!csimd_is_integer(from) && !csimd_is_integer(to)) return csimd_convert((csimd_type)from, x, (csimd_type)to, y, count);
    if (count == 0) return CSIMD_OK;
    const int threads = csimd_threads_for((double)count, elements_a_thread);
    const size_t parts = threads == 1 ? 1 : (size_t)threads * parts_a_thread;
    cast_call all = {csimd_kernels()->loops, csimd_kernels()->convert, from, to, x, y, count, parts};
    csimd_run_tasks(parts, threads, cast_part, &all);
    return CSIMD_OK;
}
