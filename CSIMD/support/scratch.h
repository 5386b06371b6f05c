// Per-thread scratch memory of the drivers: kept between calls, so that a warm call allocates nothing.
#ifndef CSIMD_SCRATCH_H
#define CSIMD_SCRATCH_H

#include "internal.h"

// The calling thread's block, at least `bytes` long and 64-byte aligned, contents undefined; NULL where memory is short.
// Each slot is a block of its own; a block stays valid until the same thread asks for the same slot again.
enum { CSIMD_SCRATCH_A = 0, CSIMD_SCRATCH_B = 1, CSIMD_SCRATCH_C = 2, CSIMD_SCRATCH_SLOTS = 3 };
void *csimd_scratch(int slot, size_t bytes);

#endif
