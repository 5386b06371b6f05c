// Finding subnormal elements in passes over bf16 operands, included by the native bf16 kernels of AVX-512: their instruction
// takes such elements as zero. With x an element's bits, 2 x - 1 modulo 2^16 is below 255 for subnormal x alone (0 gives 65535,
// the least normal number 255): the least of it over all elements, 3 operations a vector, tells. Packed panels end in one more
// vector, the least of each lane; a packed row of A says, in spare room after its pairs, how many marked rows of the block
// there are before it and up to it.

enum { LEAST_NORMAL = 255 };

// The next `count` elements, at most 32 of them; zeros past the count.
V_INLINE __m512i load_elements(const uint16_t *x, size_t count) {
    return count >= 2 * v_lanes ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi16(((__mmask32)1 << count) - 1, x);
}

V_INLINE __m512i no_mark(void) { return _mm512_set1_epi32(-1); }

V_INLINE __m512i mark(__m512i least, __m512i elements) {
    return _mm512_min_epu16(least, _mm512_add_epi16(_mm512_add_epi16(elements, elements), _mm512_set1_epi16(-1)));
}

V_INLINE __mmask32 marked_elements(const void *least) {
    return _mm512_cmplt_epu16_mask(_mm512_loadu_si512(least), _mm512_set1_epi16(LEAST_NORMAL));
}

V_INLINE bool is_marked(__m512i least) { return _mm512_cmplt_epu16_mask(least, _mm512_set1_epi16(LEAST_NORMAL)) != 0; }

V_INLINE bool has_mark(const float *least) { return marked_elements(least) != 0; }

// Bit i: row i of a panel of A has a subnormal element.
V_INLINE uint32_t marked_rows_of_panel(const float *a, size_t pairs) {
    const __mmask32 halves = marked_elements(a + pairs * v_lanes);
    return _pext_u32(halves | halves >> 1, 0x55555555u);
}

// The two counts of row a: marked rows of the block before it, and up to it.
V_INLINE uint32_t *counts_of_row(float *a) { return (uint32_t *)(void *)(a + DEPTH); }

V_INLINE uint32_t marked_rows(const float *a, size_t rows) {
    const uint32_t *first = (const uint32_t *)(const void *)(a + DEPTH);
    const uint32_t *last = first + (rows - 1) * A_ROW_STRIDE;
    if (__builtin_expect(first[0] == last[1], 1)) return 0;
    uint32_t rows_marked = 0;
    for (size_t i = 0; i < rows; i++, first += A_ROW_STRIDE) rows_marked |= (uint32_t)(first[0] != first[1]) << i;
    return rows_marked;
}
