// Threads for the drivers: how many are worth starting, and tasks shared among them.
#ifndef CSIMD_PARALLEL_H
#define CSIMD_PARALLEL_H

#include "internal.h"

// Threads worth starting for `work` elementary operations when one thread is kept until `grain` of them:
// 1 inside a parallel region and while a worker is kept from its CPU, else min(csimd_thread_count(), work / grain), at least 1.
int csimd_threads_for(double work, double grain);

// Runs task(context, i, worker) once for each i < tasks; worker < threads names the thread, so that it can have scratch of its
// own. A thread begins with its own share of the tasks, the same one in every call (its caches know it), and then takes what
// the others have not begun. One thread runs them in order without an OpenMP region, which costs 0.3 us even serialised.
typedef void (*csimd_task)(void *context, size_t i, size_t worker);
void csimd_run_tasks(size_t tasks, int threads, csimd_task task, void *context);

// Part `part` of `parts` nearly equal parts of 0 ..< count, cut at multiples of `multiple`: [*begin, *end).
static inline void csimd_share(size_t count, size_t multiple, size_t part, size_t parts, size_t *begin, size_t *end) {
    size_t units = (count + multiple - 1) / multiple, each = units / parts, longer = units % parts;
    *begin = csimd_minimum(count, (each * part + csimd_minimum(part, longer)) * multiple);
    part++;
    *end = csimd_minimum(count, (each * part + csimd_minimum(part, longer)) * multiple);
}

#endif
