// Passes over a block of memory that reach the machine's bandwidth: what shares of bandwidth are measured against.
#ifndef CSIMD_MEMORY_PROBE_H
#define CSIMD_MEMORY_PROBE_H

#include "../include/CSIMD.h"

// Bytes that one turn of a probe's loop reads, or copies from the block's first half to its second.
enum { csimd_memory_probe_step = 512 };

// One pass over the block, `bytes` a multiple of twice the step and `block` on a boundary of 64; the result defeats removal.
float csimd_memory_probe_ref(csimd_memory_pattern pattern, size_t bytes, float *block);
float csimd_memory_probe_avx2(csimd_memory_pattern pattern, size_t bytes, float *block);
float csimd_memory_probe_avx512(csimd_memory_pattern pattern, size_t bytes, float *block);

#endif
