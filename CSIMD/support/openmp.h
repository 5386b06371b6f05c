// Whether OpenMP's runtime can be used here, found out before its first call: libomp 14 ends the process where it cannot
// start or cannot have a thread.
#ifndef CSIMD_OPENMP_H
#define CSIMD_OPENMP_H

#include "internal.h"

// Threads that a region may have: 1 where the runtime cannot be used. The first call looks, and mends the environment.
int csimd_openmp_thread_limit(void);

// At most `threads`: so many as the calling thread can have, which is tried where it has not had as many before.
int csimd_openmp_secured_threads(int threads);

enum { csimd_most_threads = 256 };  // of a region

#endif
