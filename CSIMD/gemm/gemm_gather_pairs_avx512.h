// Packing of gathered operands (gemm_gather_body.h) for the bf16 kernel of AVX-512, included after gemm_pack_pairs_avx512.h:
// elements are copied, not widened, and looked through for subnormals as there.

static void pack_a_gathered(csimd_type type, const void *x, const size_t *row_at, size_t rows, const csimd_gemm_run *runs,
                            size_t run_count, float *packed) {
    assert(type == CSIMD_BF16);
    (void)type;
    uint32_t count = 0;
    for (size_t i = 0; i < rows; i++, packed += A_ROW_STRIDE) {
        uint16_t *to = (uint16_t *)(void *)packed;
        const uint16_t *row = (const uint16_t *)x + row_at[i];
        __m512i least = no_mark();
        for (size_t s = 0; s < run_count; s++) {
            const uint16_t *from = row + runs[s].at;
            const size_t length = runs[s].length;
            size_t p = 0;
            for (; p + 2 * v_lanes <= length; p += 2 * v_lanes) {
                const __m512i elements = _mm512_loadu_si512(from + p);
                least = mark(least, elements);
                _mm512_storeu_si512(to + p, elements);
            }
            if (p < length) {
                const __m512i elements = load_elements(from + p, length - p);
                least = mark(least, elements);
                _mm512_storeu_si512(to + p, elements);
            }
            to += length;
        }
        *to = 0;  // what an odd depth ends in
        uint32_t *counts = counts_of_row(packed);
        counts[0] = count;
        count += is_marked(least);
        counts[1] = count;
    }
}

// `left` columns of one row from element `from` of a run on, zeros after them.
V_INLINE __m512i gather_columns(const uint16_t *row, const csimd_gemm_run *run, size_t from, size_t left) {
    _Alignas(CSIMD_ALIGNMENT) uint16_t elements[4 * v_lanes];
    _mm512_store_si512(elements, _mm512_setzero_si512());
    for (size_t column = 0; column < left; run++, from = 0) {
        const size_t count = csimd_minimum(run->length - from, left - column);
        _mm512_storeu_si512(elements + column, load_elements(row + run->at + from, count));
        column += count;
    }
    return _mm512_load_si512(elements);
}

static void pack_b_gathered(csimd_type type, const void *x, const size_t *row_at, size_t depth, const csimd_gemm_run *runs,
                            size_t columns, float *packed) {
    assert(type == CSIMD_BF16);
    (void)type;
    const uint16_t *elements = x;
    const size_t pairs = (depth + 1) / 2;
    size_t done = 0;  // columns of the run at hand that earlier panels have
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
        const size_t left = csimd_minimum(columns - j, TILE_COLUMNS), width = left > v_lanes ? TILE_COLUMNS : v_lanes;
        const bool whole = runs->length - done >= left;
        float *to = packed + j * (pairs + 1);
        __m512i least = no_mark();
        for (size_t p = 0; p < depth; p += 2, to += width) {
            const uint16_t *first = elements + row_at[p], *second = elements + row_at[csimd_minimum(p + 1, depth - 1)];
            __m512i even, odd;
            if (whole) {
                even = load_elements(first + runs->at + done, left);
                odd = load_elements(second + runs->at + done, left);
            } else {
                even = gather_columns(first, runs, done, left);
                odd = gather_columns(second, runs, done, left);
            }
            if (p + 1 == depth) odd = _mm512_setzero_si512();
            least = mark(mark(least, even), odd);
            _mm512_storeu_si512(to, interleave(even, odd, 0));
            if (width > v_lanes) _mm512_storeu_si512(to + v_lanes, interleave(even, odd, v_lanes));
        }
        _mm512_storeu_si512(to, least);
        for (done += left; j + left < columns && done >= runs->length; runs++) done -= runs->length;
    }
}
