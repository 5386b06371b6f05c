// Transposition in registers, AVX-512: included by gemm_ukr_avx512.c within its target attribute.

// `count` (at most 32) 16-bit elements as bit patterns, two a lane.
V_INLINE v_f32 load_pairs(const void *x, size_t index, size_t count) {
    const __mmask32 mask = count >= 32 ? 0xFFFFFFFFu : (1u << count) - 1;
    return _mm512_castsi512_ps(_mm512_maskz_loadu_epi16(mask, (const uint16_t *)x + index));
}
// The even and the odd elements of such a vector, widened.
V_INLINE void split_pairs(csimd_type type, v_f32 pairs, v_f32 *even, v_f32 *odd) {
    const __m512i bits = _mm512_castps_si512(pairs);
    if (type == CSIMD_F16) {
        *even = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(bits));
        *odd = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
    } else {
        *even = v_of_bits(_mm512_slli_epi32(bits, 16));
        *odd = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32((int)0xFFFF0000u)));
    }
}

// Transposes 16 x 16 lanes in place: 64 shuffles, bit patterns untouched.
V_INLINE void transpose(v_f32 r[v_lanes]) {
    v_f32 t[v_lanes];
#pragma clang loop unroll(full)
    for (int i = 0; i < v_lanes; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < v_lanes; i += 4) {
        r[i] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i]), _mm512_castps_pd(t[i + 2])));
        r[i + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
        r[i + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(t[i + 1]), _mm512_castps_pd(t[i + 3])));
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xDD);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xDD);
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xDD);
    }
}
