// Transposition in registers, AVX2: included by gemm_ukr_avx2.c within its target attribute.

// `count` (at most 16) 16-bit elements as bit patterns, two a lane.
V_INLINE v_f32 load_pairs(const void *x, size_t index, size_t count) {
    const uint16_t *from = (const uint16_t *)x + index;
    if (count >= 2 * v_lanes) return _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)from));
    uint16_t copy[2 * v_lanes] = {0};
    for (size_t i = 0; i < count; i++) copy[i] = from[i];
    return _mm256_castsi256_ps(_mm256_loadu_si256((const __m256i *)(const void *)copy));
}

// The even and the odd elements of such a vector, widened.
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

// Transposes 8 x 8 lanes in place: 24 shuffles, bit patterns untouched.
V_INLINE void transpose(v_f32 r[v_lanes]) {
    v_f32 t[v_lanes];
#pragma clang loop unroll(full)
    for (int i = 0; i < v_lanes; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < v_lanes; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xEE);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xEE);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < v_lanes; i++) r[i] = t[i];
}
