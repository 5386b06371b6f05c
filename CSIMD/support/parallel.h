// Threads for the drivers: the OpenMP functions used, declared by hand because Swift's clang ships no omp.h.
#ifndef CSIMD_PARALLEL_H
#define CSIMD_PARALLEL_H

#include "internal.h"

int omp_get_thread_num(void);
int omp_get_num_threads(void);
int omp_get_max_threads(void);
int omp_in_parallel(void);

// Threads worth starting for `work` elementary operations when one thread is kept until `grain` of them:
// 1 inside a parallel region, else min(csimd_thread_count(), work / grain), at least 1.
int csimd_threads_for(double work, double grain);

// Part `part` of `parts` nearly equal parts of 0 ..< count, cut at multiples of `multiple`: [*begin, *end).
static inline void csimd_share(size_t count, size_t multiple, int part, int parts, size_t *begin, size_t *end) {
    size_t units = (count + multiple - 1) / multiple, each = units / (size_t)parts, longer = units % (size_t)parts;
    size_t index = (size_t)part;
    *begin = csimd_minimum(count, (each * index + csimd_minimum(index, longer)) * multiple);
    index++;
    *end = csimd_minimum(count, (each * index + csimd_minimum(index, longer)) * multiple);
}

#endif
