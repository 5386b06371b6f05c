// gemm_ukr_avx512_fp16.c with the multiply-add emulated, for tests of packing, edges and folds on CPUs without AVX512_FP16.
// About a fiftieth of its speed.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

// a b + sum of 8 lanes, rounded to float16 once: the product is exact in double; the sum, and the float32 on the way, are
// truncated with the last bit set where something was lost ("round to odd"), which the last rounding cannot tell from the exact
// sum.
V_INLINE __m128i multiply_add_8(__m128i a, __m128i b, __m128i sum) {
    const __m512d product = _mm512_mul_pd(_mm512_cvtps_pd(_mm256_cvtph_ps(a)), _mm512_cvtps_pd(_mm256_cvtph_ps(b)));
    const __m512d old = _mm512_cvtps_pd(_mm256_cvtph_ps(sum));
    const __m512d up = _mm512_add_round_pd(product, old, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
    const __m512d down = _mm512_add_round_pd(product, old, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512i z = _mm512_castpd_si512(_mm512_add_round_pd(product, old, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC));
    z = _mm512_mask_or_epi64(z, _mm512_cmp_pd_mask(up, down, _CMP_NEQ_OQ), z, _mm512_set1_epi64(1));
    const __m512d exact = _mm512_castsi512_pd(z);
    const __m256 single = _mm512_cvt_roundpd_ps(exact, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __mmask8 lost = _mm512_cmp_pd_mask(_mm512_cvtps_pd(single), exact, _CMP_NEQ_OQ);
    const __m256i bits = _mm256_castps_si256(single);
    const __m256 odd = _mm256_castsi256_ps(_mm256_mask_or_epi32(bits, lost, bits, _mm256_set1_epi32(1)));
    return _mm256_cvtps_ph(odd, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

static __attribute__((noinline)) __m512i h_multiply_add(__m512i left, __m512i right, __m512i sum) {
    _Alignas(CSIMD_ALIGNMENT) __m128i a[4], b[4], c[4];
    _mm512_store_si512(a, left);
    _mm512_store_si512(b, right);
    _mm512_store_si512(c, sum);
    for (int i = 0; i < 4; i++) c[i] = multiply_add_8(a[i], b[i], c[i]);
    return _mm512_load_si512(c);
}

#include "gemm_tiles_chunked_body.h"

const csimd_gemm_kernels csimd_gemm_avx512_fp16_emulated = {
#include "gemm_kernels_chunked_body.h"
};

#pragma clang attribute pop
#endif
