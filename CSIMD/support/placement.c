// Two threads of one process can share a CPU for seconds while another is idle: spinning threads look busy to the kernel's
// balancer. So where every CPU of the affinity mask is used, each worker keeps to a CPU of its own. The caller keeps its mask:
// threads that it creates inherit it. So the kernel may wake it on a worker's CPU, where the two would take turns from then on;
// it is the worker that moves, since the kernel put the caller where it did for a reason, such as another process on the CPU
// that is free. Whoever places threads through OpenMP's own variables is left alone.
#define _GNU_SOURCE
#include "placement.h"

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

void kmp_set_blocktime(int milliseconds);  // libomp's; Swift's clang ships no omp.h

// A worker spins this long for the next region before it sleeps and leaves its CPU to others; libomp's default is 200 ms.
enum { spin_milliseconds = 1 };

static bool is_set(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && value[0] != 0;
}

#ifdef __linux__
#include <sys/syscall.h>

static bool keep_to(int task, int cpu) {
    cpu_set_t own;
    CPU_ZERO(&own);
    CPU_SET(cpu, &own);
    return sched_setaffinity(task, sizeof own, &own) == 0;
}

// Places a region of `threads` threads where it uses every CPU of the caller's mask; else leaves everything as it was. The CPU
// that the caller is on comes first.
static bool choose_cpus(csimd_placement *placement, int threads) {
    if (is_set("OMP_PROC_BIND") || is_set("OMP_PLACES") || is_set("KMP_AFFINITY") || is_set("GOMP_CPU_AFFINITY")) return false;
    cpu_set_t mask;
    if (threads > csimd_most_placed || sched_getaffinity(0, sizeof mask, &mask) != 0 || CPU_COUNT(&mask) != threads)
        return false;
    const int here = sched_getcpu();
    if (here < 0 || !CPU_ISSET(here, &mask)) return false;
    placement->threads = threads;
    placement->process = getpid();
    placement->cpus[0] = here;
    for (int cpu = 0, worker = 1; worker < threads; cpu++) {
        if (cpu == here || !CPU_ISSET(cpu, &mask)) continue;
        placement->tasks[worker] = 0;
        placement->cpus[worker++] = cpu;
    }
    return true;
}

// Where the operating system refuses, or after a fork, the workers stay where they are.
static void free_the_callers_cpu(csimd_placement *placement) {
    const int here = sched_getcpu();
    if (here == placement->cpus[0]) return;
    const int worker = csimd_worker_in_the_way(placement, here);
    if (worker == 0 || placement->tasks[worker] == 0 || placement->process != getpid()) return;
    if (!keep_to(placement->tasks[worker], placement->cpus[0])) return;
    placement->cpus[worker] = placement->cpus[0];
    placement->cpus[0] = here;
}

void csimd_place_worker(csimd_placement *placement, int worker) {
    if (keep_to(0, placement->cpus[worker])) placement->tasks[worker] = (int)syscall(SYS_gettid);
}
#else
static bool choose_cpus(csimd_placement *placement, int threads) { return (void)placement, threads < 0; }
static void free_the_callers_cpu(csimd_placement *placement) { (void)placement; }
void csimd_place_worker(csimd_placement *placement, int worker) { (void)placement, (void)worker; }
#endif

csimd_placement *csimd_place_caller(int threads) {
    static _Thread_local int last_tried;  // threads of the caller's region that was considered last
    static _Thread_local csimd_placement placement;
    if (threads <= placement.threads) {
        free_the_callers_cpu(&placement);
        return NULL;
    }
    if (threads == last_tried) return NULL;
    if (last_tried == 0 && !is_set("KMP_BLOCKTIME") && !is_set("OMP_WAIT_POLICY")) kmp_set_blocktime(spin_milliseconds);
    last_tried = threads;
    return choose_cpus(&placement, threads) ? &placement : NULL;
}
