// Scalar conversions between float32, float64 and the 16-bit types, in integer arithmetic: the formula that the reference rows
// use and that tails of vector rows may use. No compiler cast, so no VCVTNEPS2BF16 with its flushed subnormals.
#ifndef CSIMD_SCALAR16_H
#define CSIMD_SCALAR16_H

#include "internal.h"

static inline float csimd_bf16_to_f32(csimd_bf16 x) { return csimd_f32_of_bits((uint32_t)x.bits << 16); }

// Adding 0x7FFF plus the lowest kept bit rounds to nearest, ties to even, and carries into infinity where it must.
static inline csimd_bf16 csimd_f32_to_bf16(float x) {
    uint32_t bits = csimd_bits_of_f32(x);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return (csimd_bf16){(uint16_t)((bits >> 16) | 0x0040u)};  // quiet NaN
    return (csimd_bf16){(uint16_t)((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16)};
}

static inline float csimd_f16_to_f32(csimd_f16 x) {
    uint32_t sign = (uint32_t)(x.bits & 0x8000u) << 16;
    uint32_t exponent = (x.bits >> 10) & 0x1Fu;
    uint32_t fraction = x.bits & 0x3FFu;
    if (exponent == 0x1F) return csimd_f32_of_bits(sign | 0x7F800000u | (fraction << 13) | (fraction ? 0x400000u : 0u));
    if (exponent == 0) {
        float magnitude = (float)fraction * 0x1p-24f;  // exact: a subnormal is a multiple of 2^-24
        return csimd_f32_of_bits(sign | csimd_bits_of_f32(magnitude));
    }
    return csimd_f32_of_bits(sign | ((exponent + 112) << 23) | (fraction << 13));
}

static inline csimd_f16 csimd_f32_to_f16(float x) {
    uint32_t bits = csimd_bits_of_f32(x);
    uint32_t sign = (bits >> 16) & 0x8000u;
    uint32_t magnitude = bits & 0x7FFFFFFFu;
    uint32_t rounded;
    if (magnitude > 0x7F800000u) {
        rounded = 0x7E00u | ((magnitude >> 13) & 0x3FFu);  // quiet NaN, top payload bits kept
    } else if (magnitude >= 0x477FF000u) {
        rounded = 0x7C00u;  // 65520 and above
    } else if (magnitude >= 0x38800000u) {
        uint32_t rebased = magnitude - (112u << 23);
        rounded = (rebased + 0xFFFu + ((rebased >> 13) & 1u)) >> 13;
    } else if (magnitude < 0x33000000u) {
        rounded = 0;  // below 2^-25; the tie 2^-25 itself goes to 0 below
    } else {
        uint32_t significand = (magnitude & 0x7FFFFFu) | 0x800000u;
        uint32_t shift = 126u - (magnitude >> 23);  // 14 ... 24: in units of 2^-24
        uint32_t half = 1u << (shift - 1);
        rounded = significand >> shift;
        uint32_t rest = significand & ((1u << shift) - 1u);
        rounded += rest > half || (rest == half && (rounded & 1u));
    }
    return (csimd_f16){(uint16_t)(sign | rounded)};
}

// float32 nearest to x with the last bit set wherever x lies between two of them ("round to odd"): rounding that to 16 bits
// to nearest even gives the same as rounding x itself, since float32 has more than two bits more than f16 and bf16.
static inline float csimd_f64_to_f32_odd(double x) {
    float nearest = (float)x;
    double back = (double)nearest;
    if (!(back != x) || x != x) return nearest;
    uint32_t bits = csimd_bits_of_f32(nearest);
    if (fabs(back) > fabs(x)) bits--;  // now truncated; infinity becomes the largest finite value
    return csimd_f32_of_bits(bits | 1u);
}

static inline csimd_f16 csimd_f64_to_f16(double x) { return csimd_f32_to_f16(csimd_f64_to_f32_odd(x)); }
static inline csimd_bf16 csimd_f64_to_bf16(double x) { return csimd_f32_to_bf16(csimd_f64_to_f32_odd(x)); }

// Element `index` of an array of `type`, widened to float32 (f32, f16, bf16) or double, and the reverse.
static inline float csimd_load_f32(csimd_type type, const void *x, size_t index) {
    switch (type) {
    case CSIMD_F16:
        return csimd_f16_to_f32(((const csimd_f16 *)x)[index]);
    case CSIMD_BF16:
        return csimd_bf16_to_f32(((const csimd_bf16 *)x)[index]);
    case CSIMD_F32:
        return ((const float *)x)[index];
    case CSIMD_F64:
        return (float)((const double *)x)[index];
    }
    return 0;
}

static inline void csimd_store_f32(csimd_type type, void *y, size_t index, float value) {
    switch (type) {
    case CSIMD_F16:
        ((csimd_f16 *)y)[index] = csimd_f32_to_f16(value);
        return;
    case CSIMD_BF16:
        ((csimd_bf16 *)y)[index] = csimd_f32_to_bf16(value);
        return;
    case CSIMD_F32:
        ((float *)y)[index] = value;
        return;
    case CSIMD_F64:
        ((double *)y)[index] = value;
        return;
    }
}

static inline double csimd_load_f64(csimd_type type, const void *x, size_t index) {
    return type == CSIMD_F64 ? ((const double *)x)[index] : (double)csimd_load_f32(type, x, index);
}

// Rounds once.
static inline void csimd_store_f64(csimd_type type, void *y, size_t index, double value) {
    switch (type) {
    case CSIMD_F16:
        ((csimd_f16 *)y)[index] = csimd_f64_to_f16(value);
        return;
    case CSIMD_BF16:
        ((csimd_bf16 *)y)[index] = csimd_f64_to_bf16(value);
        return;
    case CSIMD_F32:
        ((float *)y)[index] = (float)value;
        return;
    case CSIMD_F64:
        ((double *)y)[index] = value;
        return;
    }
}

#endif
