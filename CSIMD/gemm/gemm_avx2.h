// What the GEMM files for AVX2 share: tile and block sizes, loads and stores, work across the lanes of vectors.
#ifndef CSIMD_GEMM_AVX2_H
#define CSIMD_GEMM_AVX2_H

#include "gemm.h"

#include "../support/vector_math_avx2.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX2))), apply_to = function)

enum {
    TILE_ROWS = 6,
    NARROW_TILE_ROWS = 12,
    TILE_COLUMNS = 2 * v_lanes,
    DEPTH = 512,                // B's panel of 16 columns: 32 KiB, in L1
    A_ROW_STRIDE = DEPTH + 16,  // 33 cache lines
    SKINNY_ROWS = 6,            // most rows of the kernel by dot products
    MOST_SUMS = 12,
    SMALL_NARROW_ROWS = 12,  // tile height of small products, one vector wide
};

#include "gemm_vector_body.h"

// Transposition in registers: the two rows that a vector's 128-bit lanes hold are put together by loads, so that 2 shuffles a
// vector are left.

// Lane s (128 bits) from x + 4 s stride, in bytes.
V_INLINE v_f32 load_lanes(const char *x, size_t stride) {
    const __m256 r = _mm256_castps128_ps256(_mm_loadu_ps((const float *)(const void *)x));
    return _mm256_insertf128_ps(r, _mm_loadu_ps((const float *)(const void *)(x + 4 * stride)), 1);
}

// Lane s from x + offset[4 s].
V_INLINE v_f32 load_lanes_at(const char *x, const size_t *offset) {
    const __m256 r = _mm256_castps128_ps256(_mm_loadu_ps((const float *)(const void *)(x + offset[0])));
    return _mm256_insertf128_ps(r, _mm_loadu_ps((const float *)(const void *)(x + offset[4])), 1);
}

// The first `count` (< 32) bytes of x, zeros after them, to a vector's bytes at y.
V_INLINE void copy_first_bytes(char *y, const char *x, size_t count) {
    memset(y, 0, sizeof(v_f32));
    memcpy(y, x, count);
}

// Transposes the 4 x 4 floats that the four vectors have in each lane; bit patterns untouched.
V_INLINE void transpose_lanes(v_f32 r[4]) {
    const __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(r[0], r[1])), b = _mm256_castps_pd(_mm256_unpackhi_ps(r[0], r[1]));
    const __m256d c = _mm256_castps_pd(_mm256_unpacklo_ps(r[2], r[3])), d = _mm256_castps_pd(_mm256_unpackhi_ps(r[2], r[3]));
    r[0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, c));
    r[1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, c));
    r[2] = _mm256_castpd_ps(_mm256_unpacklo_pd(b, d));
    r[3] = _mm256_castpd_ps(_mm256_unpackhi_pd(b, d));
}

// The even and the odd 16-bit elements of a vector, widened.
V_INLINE void split_pairs(csimd_type type, v_f32 pairs, v_f32 *even, v_f32 *odd) {
    const __m256i bits = _mm256_castps_si256(pairs);
    if (type == CSIMD_F16) {
        const __m256i low = _mm256_and_si256(bits, _mm256_set1_epi32(0xFFFF)), high = _mm256_srli_epi32(bits, 16);
        *even = v_widen_f16(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
        *odd = v_widen_f16(_mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1)));
    } else {
        *even = v_of_bits(_mm256_slli_epi32(bits, 16));
        *odd = v_of_bits(_mm256_and_si256(bits, _mm256_set1_epi32((int)0xFFFF0000u)));
    }
}

// sums[i] = the sum of the lanes of x[i], in an order that does not depend on i.
V_INLINE void sum_lanes_of_4(const v_f32 x[4], float sums[4]) {
    const __m256d a = _mm256_castps_pd(v_add(_mm256_unpacklo_ps(x[0], x[1]), _mm256_unpackhi_ps(x[0], x[1])));
    const __m256d b = _mm256_castps_pd(v_add(_mm256_unpacklo_ps(x[2], x[3]), _mm256_unpackhi_ps(x[2], x[3])));
    const __m256 wide = v_add(_mm256_castpd_ps(_mm256_unpacklo_pd(a, b)), _mm256_castpd_ps(_mm256_unpackhi_pd(a, b)));
    _mm_storeu_ps(sums, _mm_add_ps(_mm256_castps256_ps128(wide), _mm256_extractf128_ps(wide, 1)));
}

#pragma clang attribute pop
#endif
