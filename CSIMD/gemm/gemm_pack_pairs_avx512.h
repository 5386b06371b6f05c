// Packing for the bf16 kernel of AVX-512, included by its file: a packed float is the pair of bf16 elements of p and p + 1 (the
// lower half is p's), an odd depth ends in a zero. Nothing is widened: A's rows are copied, rows of B and of a transposed A
// are interleaved two by two (2 loads, 2 permutations, 2 stores for 64 elements), a transposed B is transposed as the float32
// packing does it, pairs staying together.

V_INLINE __m512i half_row(const uint16_t *x, size_t count) {
    const __m256i half = count >= v_lanes ? _mm256_loadu_si256((const __m256i *)(const void *)x)
                                          : _mm256_maskz_loadu_epi16((__mmask16)((1u << count) - 1u), x);
    return _mm512_castsi256_si512(half);
}

static void pack_a_rows(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    assert(type == CSIMD_BF16);
    (void)type;
    uint32_t count = 0;
    for (size_t i = 0; i < rows; i++, packed += A_ROW_STRIDE) {
        const uint16_t *x = (const uint16_t *)a + i * lda;
        __m512i least = no_mark();
        for (size_t p = 0; p < depth; p += 2 * v_lanes) {
            const __m512i elements = load_elements(x + p, depth - p);
            least = mark(least, elements);
            _mm512_storeu_si512(packed + p / 2, elements);
        }
        uint32_t *counts = counts_of_row(packed);
        counts[0] = count;
        count += is_marked(least);
        counts[1] = count;
    }
}

// Elements 0 ..< 16, or 16 ..< 32, of two rows in turn.
V_INLINE __m512i interleave(__m512i even, __m512i odd, int first) {
    const __m512i low = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5, 36,
                                         4, 35, 3, 34, 2, 33, 1, 32, 0);
    return _mm512_permutex2var_epi16(even, _mm512_add_epi16(low, _mm512_set1_epi16((short)first)), odd);
}

// `count` columns (at most 16) of two rows a step.
V_INLINE void pack_narrow(const uint16_t *x, size_t ld, size_t depth, size_t count, float *packed) {
    __m512i least = no_mark();
    for (size_t p = 0; p < depth; p += 2, packed += v_lanes, x += 2 * ld) {
        const __m512i even = half_row(x, count), odd = p + 1 < depth ? half_row(x + ld, count) : _mm512_setzero_si512();
        const __m512i pairs = interleave(even, odd, 0);
        least = mark(least, pairs);
        _mm512_storeu_si512(packed, pairs);
    }
    _mm512_storeu_si512(packed, least);
}

V_INLINE void pack_wide(const uint16_t *x, size_t ld, size_t depth, size_t count, float *packed, float *marks, bool first) {
    __m512i least = first ? no_mark() : _mm512_loadu_si512(marks);
    for (size_t p = 0; p < depth; p += 2, packed += TILE_COLUMNS, x += 2 * ld) {
        const __m512i even = load_elements(x, count);
        const __m512i odd = p + 1 < depth ? load_elements(x + ld, count) : _mm512_setzero_si512();
        least = mark(mark(least, even), odd);
        _mm512_storeu_si512(packed, interleave(even, odd, 0));
        _mm512_storeu_si512(packed + v_lanes, interleave(even, odd, v_lanes));
    }
    _mm512_storeu_si512(marks, least);
}

static void pack_b_rows(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    assert(type == CSIMD_BF16);
    (void)type;
    enum { rows_at_once = 16 };  // long enough runs of writes, short enough to stay on few pages of B
    const uint16_t *x = b;
    const size_t pairs = (depth + 1) / 2, rest = columns % TILE_COLUMNS, whole = columns - rest;
    for (size_t first = 0; first < depth; first += rows_at_once) {
        const size_t run = csimd_minimum(depth - first, rows_at_once);
        for (size_t j = 0; j < whole; j += TILE_COLUMNS) {
            float *panel = packed + j * (pairs + 1);
            pack_wide(x + first * ldb + j, ldb, run, TILE_COLUMNS, panel + first / 2 * TILE_COLUMNS,
                      panel + pairs * TILE_COLUMNS, first == 0);
        }
    }
    float *panel = packed + whole * (pairs + 1);
    if (rest > v_lanes)
        pack_wide(x + whole, ldb, depth, rest, panel, panel + pairs * TILE_COLUMNS, true);
    else if (rest > 0)
        pack_narrow(x + whole, ldb, depth, rest, panel);
}

// packed[q * width + j] = pair q of column j for 16 columns `stride` bytes apart (or offset[j]) and `pairs` (at most 16) pairs.
V_INLINE __m512i transpose_pairs(const char *x, size_t stride, const size_t *offset, size_t pairs, size_t width, float *packed,
                                 __m512i least) {
#pragma clang loop unroll(full)
    for (size_t q = 0; q < v_lanes; q += 4) {
        v_f32 r[4];
        const char *lane = x + 4 * q;
#pragma clang loop unroll(full)
        for (size_t s = 0; s < 4; s++) r[s] = offset ? load_lanes_at(lane, offset + s) : load_lanes(lane + s * stride, stride);
        transpose_lanes(r);
#pragma clang loop unroll(full)
        for (size_t s = 0; s < 4; s++) {
            if (q + s >= pairs) continue;
            least = mark(least, _mm512_castps_si512(r[s]));
            store_floats(packed + (q + s) * width, r[s]);
        }
    }
    return least;
}

// `columns` columns (at most 16; the last one is read again past it) of B stored [columns, depth]; the least of what it has.
V_INLINE __m512i pack_columns(const uint16_t *b, size_t ldb, size_t depth, size_t columns, size_t width, float *packed) {
    enum { run = 2 * v_lanes };
    __m512i least = no_mark();
    size_t offset[v_lanes], p = 0;
    for (size_t j = 0; j < v_lanes; j++) offset[j] = csimd_minimum(j, columns - 1) * ldb * sizeof *b;
    if (columns >= v_lanes) {
        for (; p + run <= depth; p += run)
            least =
                transpose_pairs((const char *)(b + p), ldb * sizeof *b, NULL, v_lanes, width, packed + p / 2 * width, least);
    } else {
        for (; p + run <= depth; p += run)
            least = transpose_pairs((const char *)(b + p), 0, offset, v_lanes, width, packed + p / 2 * width, least);
    }
    if (p < depth) {
        _Alignas(CSIMD_ALIGNMENT) char copy[v_lanes][v_lanes * sizeof(float)];
        for (size_t j = 0; j < v_lanes; j++)
            _mm512_store_si512(copy[j],
                               load_elements((const uint16_t *)(const void *)((const char *)b + offset[j]) + p, depth - p));
        least = transpose_pairs(copy[0], sizeof copy[0], NULL, (depth - p + 1) / 2, width, packed + p / 2 * width, least);
    }
    return least;
}

static void pack_b_columns(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    assert(type == CSIMD_BF16);
    (void)type;
    const uint16_t *x = b;
    const size_t pairs = (depth + 1) / 2;
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
        const size_t left = csimd_minimum(columns - j, TILE_COLUMNS), width = left > v_lanes ? TILE_COLUMNS : v_lanes;
        float *panel = packed + j * (pairs + 1);
        __m512i least = pack_columns(x + j * ldb, ldb, depth, csimd_minimum(left, v_lanes), width, panel);
        if (left > v_lanes)
            least = _mm512_min_epu16(least,
                                     pack_columns(x + (j + v_lanes) * ldb, ldb, depth, left - v_lanes, width, panel + v_lanes));
        _mm512_storeu_si512(panel + pairs * width, least);
    }
}
