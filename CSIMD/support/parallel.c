// The region that runs tasks, and when a caller does without it. OpenMP's functions are declared by hand: Swift's clang ships
// no omp.h.
#include "parallel.h"

#include "limits.h"
#include "openmp.h"
#include "placement.h"
#include "stall.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int omp_get_thread_num(void);
int omp_get_max_threads(void);
int omp_get_thread_limit(void);
int omp_in_parallel(void);

static atomic_int chosen_thread_count = 0;

void csimd_set_thread_count(int count) { atomic_store(&chosen_thread_count, count > 0 ? count : 0); }

// One a CPU of the affinity mask, as OpenMP counts them, but no more than the quota of CPU time allows: threads beyond it only
// use it up sooner, and then all of them wait. Whoever sets OMP_NUM_THREADS is obeyed.
static int default_thread_count(void) {
    const int threads = omp_get_max_threads(), quota = csimd_quota_cpus();
    return quota > 0 && quota < threads && getenv("OMP_NUM_THREADS") == NULL ? quota : threads;
}

int csimd_thread_count(void) {
    int limit = csimd_openmp_thread_limit();
    if (limit <= 1) return 1;
    limit = (int)csimd_minimum((size_t)limit, (size_t)omp_get_thread_limit());  // OMP_THREAD_LIMIT
    int chosen = atomic_load_explicit(&chosen_thread_count, memory_order_relaxed);
    if (chosen <= 0) chosen = default_thread_count();
    return chosen < limit ? chosen : limit;
}

const char *csimd_openmp_version(void) {
    static char text[48];
    if (text[0] == 0) snprintf(text, sizeof text, "libomp, OpenMP %d", _OPENMP);
    return text;
}

static int64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

// Each calling thread has workers of its own, and judges them for itself.
static _Thread_local csimd_stall_state stalls;

int csimd_threads_for(double work, double grain) {
    int limit = csimd_thread_count();
    if (limit <= 1 || work < 2 * grain || omp_in_parallel()) return 1;
    if (stalls.factor != 0 && nanoseconds() < stalls.alone_until) return 1;
    double wanted = work / grain;
    return wanted < limit ? (int)wanted : limit;
}

// What a thread begins with, and the others help out with.
typedef struct {
    _Alignas(CSIMD_ALIGNMENT) atomic_size_t next;
    size_t end;
} share;

// A function of its own: the compiler asks OpenMP for the thread's number where a function with a region begins, and the
// runtime must not be called where it cannot be used.
static __attribute__((noinline)) void run_region(share *shares, int threads, csimd_task task, void *context) {
    csimd_placement *placement = csimd_place_caller(threads);
    const int64_t begun = nanoseconds();
    int64_t finished = begun;
#pragma omp parallel num_threads(threads)
    {
        const int worker = omp_get_thread_num();
        if (placement != NULL && worker != 0) csimd_place_worker(placement, worker);
        for (int t = 0; t < threads; t++) {
            share *from = &shares[(worker + t) % threads];
            for (size_t i; (i = atomic_fetch_add_explicit(&from->next, 1, memory_order_relaxed)) < from->end;)
                task(context, i, (size_t)worker);
        }
        if (worker == 0) finished = nanoseconds();
    }
    const int64_t now = nanoseconds();
    stalls = csimd_stall_after(stalls, now, finished - begun, now - finished);
}

void csimd_run_tasks(size_t tasks, int threads, csimd_task task, void *context) {
    if (threads > 1 && tasks > 1) threads = csimd_openmp_secured_threads((int)csimd_minimum((size_t)threads, tasks));
    if (threads <= 1 || tasks <= 1) {
        for (size_t i = 0; i < tasks; i++) task(context, i, 0);
        return;
    }
    share shares[csimd_most_threads];
    for (int t = 0; t < threads; t++) {
        size_t begin;
        csimd_share(tasks, 1, (size_t)t, (size_t)threads, &begin, &shares[t].end);
        atomic_init(&shares[t].next, begin);
    }
    run_region(shares, threads, task, context);
}
