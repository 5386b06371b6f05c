// Which instruction sets the CPU has and the operating system saves the registers of.
#ifndef CSIMD_CPU_FEATURES_H
#define CSIMD_CPU_FEATURES_H

#include "internal.h"

typedef struct {
    bool avx2, fma, f16c, avx512, avx512_bf16, avx512_fp16, avx_vnni, avx512_vnni, amx_bf16, amx_fp16;
} csimd_cpu;

const csimd_cpu *csimd_cpu_detect(void);

// Whether the operating system lets this process use AMX tiles; Linux wants to be asked, once a process.
bool csimd_cpu_allows_tiles(void);

#endif
