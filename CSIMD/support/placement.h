// Where the threads of a parallel region run, and how long its workers spin.
#ifndef CSIMD_PLACEMENT_H
#define CSIMD_PLACEMENT_H

#include <stdbool.h>

enum { csimd_most_placed = 256 };

// CPUs for the workers of a caller's regions.
typedef struct {
    int threads;                   // the caller and its workers; 0: they run as they like
    int cpus[csimd_most_placed];   // of worker i; 0 is the caller, which is not placed: the CPU that the workers leave free
    int tasks[csimd_most_placed];  // the operating system's number of worker i, written by itself
    int process;                   // that it belongs to
} csimd_placement;

// By the caller, before a region of `threads` threads: the placement that its workers are to take, where one is due; else NULL.
// Where the caller has come to run on a worker's CPU, that worker is sent to the free one.
csimd_placement *csimd_place_caller(int threads);

// By worker `worker` > 0, in the region.
void csimd_place_worker(csimd_placement *placement, int worker);

// The index of the worker that must give way to a caller on `cpu` (it exchanges its CPU for the first one), or 0.
static inline int csimd_worker_in_the_way(const csimd_placement *placement, int cpu) {
    for (int worker = placement->threads - 1; worker > 0; worker--)
        if (placement->cpus[worker] == cpu) return worker;
    return 0;
}

#endif
