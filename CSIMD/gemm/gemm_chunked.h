// Float16 sums of short chunks, folded into float32: what the kernels for it and their definition (gemm_ref.c) share.
#ifndef CSIMD_GEMM_CHUNKED_H
#define CSIMD_GEMM_CHUNKED_H

#include "../support/scalar16.h"

// a b + sum, rounded to float16 once, as VFMADDPH does it: the product is exact in double; the sum is rounded to odd there
// (TwoSum says whether and which way double lost something), so that the rounding to float16 sees on which side it lies.
static inline csimd_f16 csimd_f16_fma(csimd_f16 a, csimd_f16 b, csimd_f16 sum) {
    const double product = (double)csimd_f16_to_f32(a) * csimd_f16_to_f32(b), old = csimd_f16_to_f32(sum);
    const double z = product + old, part = z - product, lost = (product - (z - part)) + (old - part);
    uint64_t bits;
    memcpy(&bits, &z, sizeof bits);
    if (isfinite(z) && lost != 0 && (bits & 1) == 0) bits += (lost > 0) == (z > 0) ? 1 : (uint64_t)-1;
    double odd;
    memcpy(&odd, &bits, sizeof odd);
    return csimd_f64_to_f16(odd);
}

#endif
