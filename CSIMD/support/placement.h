// Where the threads of a parallel region run, and how long its workers spin.
#ifndef CSIMD_PLACEMENT_H
#define CSIMD_PLACEMENT_H

#include <stdbool.h>

// CPUs for the workers of a caller's regions.
typedef struct {
    bool wanted;
    int cpus[256];  // of worker i; 0 is the caller, which is not placed
} csimd_placement;

// By the caller, before a region of `threads` threads: the placement that its workers are to take, the first time that one is
// due; else not wanted.
csimd_placement csimd_place_caller(int threads);

// By worker `worker` > 0, in the region.
void csimd_place_worker(const csimd_placement *placement, int worker);

#endif
