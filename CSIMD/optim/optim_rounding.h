// How updates are rounded to 16-bit parameters, for one element: the formulas of the reference row, and what the vector rows
// share with it (constants, keys).
#ifndef CSIMD_OPTIM_ROUNDING_H
#define CSIMD_OPTIM_ROUNDING_H

#include "../support/scalar16.h"

// 32 random bits for a counter: three rounds of xor-shift and multiplication (the constants of Wellons' triple32, a bijection
// whose output bits flip with probability 1/2 to within 0.02% when an input bit does). The key's lower half shifts the counter;
// both halves are added after the first round, so that keys that differ little do not give shifted copies of one sequence.
enum { csimd_hash_shift1 = 17, csimd_hash_shift2 = 11, csimd_hash_shift3 = 15, csimd_hash_shift4 = 14 };
#define CSIMD_HASH_FACTOR1 0xED5AD4BBu
#define CSIMD_HASH_FACTOR2 0xAC4C1B51u
#define CSIMD_HASH_FACTOR3 0x31848BABu

static inline uint32_t csimd_hash_second_key(uint64_t key) {
    return (uint32_t)(key >> 32) + (uint32_t)key * CSIMD_HASH_FACTOR2;
}

static inline uint32_t csimd_hash_of_counter(uint64_t key, uint32_t counter) {
    uint32_t x = counter + (uint32_t)key;
    x ^= x >> csimd_hash_shift1;
    x *= CSIMD_HASH_FACTOR1;
    x ^= x >> csimd_hash_shift2;
    x += csimd_hash_second_key(key);
    x *= CSIMD_HASH_FACTOR2;
    x ^= x >> csimd_hash_shift3;
    x *= CSIMD_HASH_FACTOR3;
    x ^= x >> csimd_hash_shift4;
    return x;
}

// The largest finite value.
static inline float csimd_largest(csimd_type type) { return type == CSIMD_F16 ? 65504.0f : 0x1.FEp127f; }

// x, or one of its two neighbours of `type`: up with probability distance / ulp. Where the type's grid is that of float32's
// upper bits, adding as many random bits as are dropped and truncating does that exactly; f16's subnormals are multiples of
// 2^-24, where a 24-bit random fraction is compared with the exact fraction. Beyond the largest value: x.
static inline float csimd_round_stochastic(csimd_type type, float x, uint32_t random) {
    if (!(fabsf(x) <= csimd_largest(type))) return x;
    if (type == CSIMD_BF16) return csimd_f32_of_bits((csimd_bits_of_f32(x) + (random >> 16)) & 0xFFFF0000u);
    if (fabsf(x) >= 0x1p-14f) return csimd_f32_of_bits((csimd_bits_of_f32(x) + (random >> 19)) & 0xFFFFE000u);
    const float units = x * 0x1p24f, whole = truncf(units), fraction = fabsf(units - whole);
    const float step = (float)(random >> 8) * 0x1p-24f < fraction ? copysignf(1.0f, x) : 0.0f;
    return (whole + step) * 0x1p-24f;
}

#endif
