// Reference row: element by element in integer arithmetic (scalar16.h); also what every row uses for float64.
#include "convert.h"

#include "../support/scalar16.h"

#define INLINE static inline __attribute__((always_inline))

static double quiet_f64(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x != x) bits |= UINT64_C(1) << 51;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float quiet_f32(float x) { return x != x ? csimd_f32_of_bits(csimd_bits_of_f32(x) | 0x400000u) : x; }

// Whether the CPU's own conversions between float32 and float64 may take float32's subnormals for zero: where the host process
// has set FTZ or DAZ.
static bool may_flush(void) {
#if CSIMD_X86
    return (__builtin_ia32_stmxcsr() & 0x8040u) != 0;
#else
    return true;
#endif
}

// In any mode, if three times as slow: subnormals are multiples of 2^-149.
static double f64_of_f32(float x) {
    const uint32_t bits = csimd_bits_of_f32(x);
    const double magnitude = (double)(int32_t)(bits & 0x7FFFFFu) * 0x1p-149;
    if ((bits & 0x7F800000u) != 0) return (double)x;
    return bits >> 31 ? -magnitude : magnitude;
}

// Adding 2^52 leaves a multiple of 1, rounded to nearest even, in the low bits: with 2^23 for the least normal number.
static float f32_of_f64(double x) {
    const double units = fabs(x) * 0x1p149 + 0x1p52;
    uint64_t bits;
    memcpy(&bits, &units, sizeof bits);
    return fabs(x) < 0x1p-126 ? copysignf(csimd_f32_of_bits((uint32_t)bits & 0xFFFFFFu), (float)x) : (float)x;
}

// As csimd_f64_to_f32_odd.
static float odd_f32_of_f64(double x) {
    const float nearest = f32_of_f64(x);
    const double back = f64_of_f32(nearest);
    if (!(back != x) || x != x) return nearest;
    uint32_t bits = csimd_bits_of_f32(nearest);
    if (fabs(back) > fabs(x)) bits--;  // now truncated; infinity becomes the largest finite value
    return csimd_f32_of_bits(bits | 1u);
}

// To or from float64, where subnormals may be flushed.
INLINE void convert_exactly(csimd_type from, const void *x, csimd_type to, void *y, size_t i) {
    const double value = from == CSIMD_F64 ? ((const double *)x)[i] : f64_of_f32(csimd_load_f32(from, x, i));
    if (to == CSIMD_F64)
        ((double *)y)[i] = quiet_f64(value);
    else if (to == CSIMD_F32)
        ((float *)y)[i] = f32_of_f64(quiet_f64(value));
    else
        csimd_store_f32(to, y, i, odd_f32_of_f64(quiet_f64(value)));
}

// One loop a pair of types: both are constants where this is called.
INLINE void convert_pair(csimd_type from, const void *x, csimd_type to, void *y, size_t count) {
    if (from != CSIMD_F64 && to != CSIMD_F64)
        for (size_t i = 0; i < count; i++) csimd_store_f32(to, y, i, quiet_f32(csimd_load_f32(from, x, i)));
    else if (may_flush())
        for (size_t i = 0; i < count; i++) convert_exactly(from, x, to, y, i);
    else
        for (size_t i = 0; i < count; i++) csimd_store_f64(to, y, i, quiet_f64(csimd_load_f64(from, x, i)));
}

INLINE void convert_from(csimd_type from, const void *x, csimd_type to, void *y, size_t count) {
    switch (to) {
    case CSIMD_F32:
        convert_pair(from, x, CSIMD_F32, y, count);
        return;
    case CSIMD_F16:
        convert_pair(from, x, CSIMD_F16, y, count);
        return;
    case CSIMD_BF16:
        convert_pair(from, x, CSIMD_BF16, y, count);
        return;
    case CSIMD_F64:
        convert_pair(from, x, CSIMD_F64, y, count);
        return;
    }
}

static void convert(csimd_type from, const void *x, csimd_type to, void *y, size_t count, bool stream) {
    (void)stream;
    switch (from) {
    case CSIMD_F32:
        convert_from(CSIMD_F32, x, to, y, count);
        return;
    case CSIMD_F16:
        convert_from(CSIMD_F16, x, to, y, count);
        return;
    case CSIMD_BF16:
        convert_from(CSIMD_BF16, x, to, y, count);
        return;
    case CSIMD_F64:
        convert_from(CSIMD_F64, x, to, y, count);
        return;
    }
}

static void normalize_u8(size_t count, const uint8_t *x, float scale, float shift, csimd_type to, void *y) {
    for (size_t i = 0; i < count; i++) {
        if (to == CSIMD_F64)
            csimd_store_f64(to, y, i, fma((double)x[i], (double)scale, (double)shift));
        else
            csimd_store_f32(to, y, i, fmaf((float)x[i], scale, shift));
    }
}

const csimd_convert_kernels csimd_convert_kernels_ref = {.convert = convert, .normalize_u8 = normalize_u8};
