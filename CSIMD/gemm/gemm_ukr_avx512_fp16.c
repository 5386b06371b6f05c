// GEMM micro-kernel of f16 by f16 in chunks, AVX512_FP16: 14x64 (28x32 where at most 32 columns are left), float16 sums of at
// most 32 products, folded into float32 sums in L1.
// 28 accumulators + 2 vectors of B + 1 broadcast of A = 31 zmm. A chunk of 32 of k is 896 VFMADDPH on 2 ports = 448 cycles; its
// fold is 56 each of VCVTPH2PS, addition, load and store, about 60 to 110 cycles: 1.6 to 1.75 times the float32 kernel's
// multiply-adds a cycle.
// Untested: no machine with AVX512_FP16 has run this file. gemm_ukr_avx512_fp16_emulated.c runs all of it but the instruction.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512 ",avx512fp16"))), apply_to = function)

V_INLINE __m512i h_multiply_add(__m512i left, __m512i right, __m512i sum) {
    return _mm512_castph_si512(
        _mm512_fmadd_ph(_mm512_castsi512_ph(left), _mm512_castsi512_ph(right), _mm512_castsi512_ph(sum)));
}

#include "gemm_tiles_chunked_body.h"

const csimd_gemm_kernels csimd_gemm_avx512_fp16 = {
#include "gemm_kernels_chunked_body.h"
};

#pragma clang attribute pop
#endif
