// Two threads of one process can share a CPU for seconds while another is idle: spinning threads look busy to the kernel's
// balancer. So where every CPU of the affinity mask is used, each worker keeps to a CPU of its own. The caller keeps its mask:
// threads that it creates inherit it. Whoever places threads through OpenMP's own variables is left alone.
#define _GNU_SOURCE
#include "placement.h"

#include <sched.h>
#include <stdlib.h>

void kmp_set_blocktime(int milliseconds);  // libomp's; Swift's clang ships no omp.h

// A worker spins this long for the next region before it sleeps and leaves its CPU to others; libomp's default is 200 ms.
enum { spin_milliseconds = 1 };

static bool is_set(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && value[0] != 0;
}

csimd_placement csimd_place_caller(int threads) {
    static _Thread_local int most_threads;  // of the caller's regions so far
    csimd_placement placement;
    placement.wanted = false;
    if (threads <= most_threads) return placement;
    if (most_threads == 0 && !is_set("KMP_BLOCKTIME") && !is_set("OMP_WAIT_POLICY")) kmp_set_blocktime(spin_milliseconds);
    most_threads = threads;
#ifdef __linux__
    if (is_set("OMP_PROC_BIND") || is_set("OMP_PLACES") || is_set("KMP_AFFINITY") || is_set("GOMP_CPU_AFFINITY"))
        return placement;
    cpu_set_t mask;
    const int limit = sizeof placement.cpus / sizeof placement.cpus[0];
    if (threads > limit || sched_getaffinity(0, sizeof mask, &mask) != 0 || CPU_COUNT(&mask) != threads) return placement;
    for (int cpu = 0, worker = 0; worker < threads; cpu++)
        if (CPU_ISSET(cpu, &mask)) placement.cpus[worker++] = cpu;
    placement.wanted = true;
#endif
    return placement;
}

void csimd_place_worker(const csimd_placement *placement, int worker) {
#ifdef __linux__
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(placement->cpus[worker], &own);
    sched_setaffinity(0, sizeof own, &own);  // where it is refused the worker runs as it did
#else
    (void)placement, (void)worker;
#endif
}
