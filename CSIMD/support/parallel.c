// How many OpenMP threads the drivers use, and what the runtime is.
#include "parallel.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int chosen_thread_count = 0;

void csimd_set_thread_count(int count) { atomic_store(&chosen_thread_count, count > 0 ? count : 0); }

int csimd_thread_count(void) {
    int chosen = atomic_load_explicit(&chosen_thread_count, memory_order_relaxed);
    return chosen > 0 ? chosen : omp_get_max_threads();
}

int csimd_threads_for(double work, double grain) {
    int limit = csimd_thread_count();
    if (limit <= 1 || work < 2 * grain || omp_in_parallel()) return 1;
    double wanted = work / grain;
    return wanted < limit ? (int)wanted : limit;
}

const char *csimd_openmp_version(void) {
    static char text[48];
    if (text[0] == 0) snprintf(text, sizeof text, "libomp, OpenMP %d", _OPENMP);
    return text;
}
