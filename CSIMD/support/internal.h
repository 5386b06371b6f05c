// What every file of CSIMD may use: alignment, inlining, and how an ISA's file asks for its instructions.
#ifndef CSIMD_INTERNAL_H
#define CSIMD_INTERNAL_H

#include "../include/CSIMD.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#define CSIMD_X86 1
#else
#define CSIMD_X86 0
#endif

// The features that a row may assume. An ISA's file is wrapped in
//   #pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function) ... pop
// after its includes, and is empty where CSIMD_X86 is 0.
#define CSIMD_TARGET_AVX2 "avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt"
#define CSIMD_TARGET_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c,bmi,bmi2,lzcnt,popcnt"
#define CSIMD_TARGET_AVX512_BF16 CSIMD_TARGET_AVX512 ",avx512bf16"

enum { CSIMD_ALIGNMENT = 64 };

// Bytes that an operation touches from which on its result cannot stay in a last-level cache of usual size: stores go past the
// caches, which spares the reading of lines that are overwritten.
#define CSIMD_STREAM_BYTES ((size_t)32 << 20)

static inline size_t csimd_minimum(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t csimd_round_up(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

static inline size_t csimd_type_size(csimd_type type) {
    switch (type) {
    case CSIMD_F16:
    case CSIMD_BF16:
        return 2;
    case CSIMD_F32:
        return 4;
    case CSIMD_F64:
        return 8;
    }
    return 0;
}

static inline bool csimd_type_valid(csimd_type type) { return (unsigned)type <= CSIMD_F64; }

static inline uint32_t csimd_bits_of_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float csimd_f32_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

#endif
