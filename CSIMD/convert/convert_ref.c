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

// One loop a pair of types: both are constants where this is called.
INLINE void convert_pair(csimd_type from, const void *x, csimd_type to, void *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (from == CSIMD_F64 || to == CSIMD_F64)
            csimd_store_f64(to, y, i, quiet_f64(csimd_load_f64(from, x, i)));
        else
            csimd_store_f32(to, y, i, quiet_f32(csimd_load_f32(from, x, i)));
    }
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
