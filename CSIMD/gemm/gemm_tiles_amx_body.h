// The AMX micro-kernel, included by the file for the instruction and by the one that emulates it; the includer brings the tile
// operations: TILE_ZERO, TILE_LOAD, TILE_STORE, TILE_DOT and tiles_begin, tiles_end.
// Tiles 0 to 3 are sums of 16 x 16, 4 and 5 are 16 rows of A by 16 pairs of k, 6 and 7 are 16 pairs of k by 16 columns of B.

enum { TILE_PAIRS = 16, AMX_ROWS = 32 };

// 64 bytes that LDTILECFG reads: 16 rows of 64 bytes for every tile but those that hold rows of C or A.
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_a_row[16];
    uint8_t rows[16];
} tile_shapes;

V_INLINE tile_shapes shapes_for(size_t rows) {
    const uint8_t first = (uint8_t)csimd_minimum(rows, TILE_PAIRS), second = (uint8_t)(rows - first);
    tile_shapes shapes = {.palette = 1, .rows = {first, first, second, second, first, second, TILE_PAIRS, TILE_PAIRS}};
    for (int tile = 0; tile < 8; tile++) shapes.bytes_a_row[tile] = shapes.rows[tile] > 0 ? 64 : 0;
    return shapes;
}

// sums[i, j] = sum over `pairs` pairs of k for up to 32 rows by 16 or 32 columns. A's rows end in zeros up to a whole tile; the
// end of B's panel is copied behind zeros.
V_INLINE void amx_sums(const int row_tiles, const int column_tiles, size_t rows, size_t pairs, const float *a, const float *b,
                       float sums[AMX_ROWS * TILE_COLUMNS]) {
    const size_t a_bytes = A_ROW_STRIDE * sizeof(float), width = (size_t)column_tiles * v_lanes;
    const size_t b_bytes = width * sizeof(float), sums_bytes = TILE_COLUMNS * sizeof(float);
    _Alignas(CSIMD_ALIGNMENT) float end[TILE_PAIRS * TILE_COLUMNS];
    const tile_shapes shapes = shapes_for(rows);
    tiles_begin(&shapes);
    TILE_ZERO(0);
    if (column_tiles > 1) TILE_ZERO(1);
    if (row_tiles > 1) TILE_ZERO(2);
    if (row_tiles > 1 && column_tiles > 1) TILE_ZERO(3);
    for (size_t q = 0; q < pairs; q += TILE_PAIRS, a += TILE_PAIRS, b += TILE_PAIRS * width) {
        const float *right = b;
        if (q + TILE_PAIRS > pairs) {
            memset(end, 0, sizeof end);
            memcpy(end, b, (pairs - q) * b_bytes);
            right = end;
        }
        TILE_LOAD(6, right, b_bytes);
        if (column_tiles > 1) TILE_LOAD(7, right + v_lanes, b_bytes);
        TILE_LOAD(4, a, a_bytes);
        TILE_DOT(0, 4, 6);
        if (column_tiles > 1) TILE_DOT(1, 4, 7);
        if (row_tiles > 1) {
            TILE_LOAD(5, a + (size_t)TILE_PAIRS * A_ROW_STRIDE, a_bytes);
            TILE_DOT(2, 5, 6);
            if (column_tiles > 1) TILE_DOT(3, 5, 7);
        }
    }
    float *second = sums + (size_t)TILE_PAIRS * TILE_COLUMNS;
    TILE_STORE(0, sums, sums_bytes);
    if (column_tiles > 1) TILE_STORE(1, sums + v_lanes, sums_bytes);
    if (row_tiles > 1) TILE_STORE(2, second, sums_bytes);
    if (row_tiles > 1 && column_tiles > 1) TILE_STORE(3, second + v_lanes, sums_bytes);
    tiles_end();
}

static void multiply_unmarked(size_t rows, size_t columns, size_t pairs, const float *a, const float *b, bool add, float *c,
                              size_t ldc) {
    _Alignas(CSIMD_ALIGNMENT) float sums[AMX_ROWS * TILE_COLUMNS];
    if (rows > TILE_PAIRS && columns > v_lanes)
        amx_sums(2, 2, rows, pairs, a, b, sums);
    else if (rows > TILE_PAIRS)
        amx_sums(2, 1, rows, pairs, a, b, sums);
    else if (columns > v_lanes)
        amx_sums(1, 2, rows, pairs, a, b, sums);
    else
        amx_sums(1, 1, rows, pairs, a, b, sums);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j += v_lanes) {
            const size_t count = columns - j;
            v_f32 z = load_floats(sums + i * TILE_COLUMNS + j);
            if (add) z = v_add(load_some(CSIMD_F32, c, i * ldc + j, count), z);
            store_some(CSIMD_F32, c, i * ldc + j, count, z);
        }
    }
}

// Rows with a subnormal, and all rows by a panel of B with one, take the widening kernel, as beside the vector instruction.
static void multiply(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                     float *c, size_t ldc) {
    (void)a_in_panels;  // a transposed A is packed in rows too
    const size_t pairs = (depth + 1) / 2, width = columns > v_lanes ? TILE_COLUMNS : v_lanes;
    const uint32_t marked = has_mark(b + pairs * width) ? UINT32_MAX : marked_rows(a, rows);
    for (size_t i = 0, end; i < rows; i = end) {
        const uint32_t kind = marked >> i & 1;
        for (end = i + 1; end < rows && (marked >> end & 1) == kind && (kind == 0 || end - i < TILE_ROWS); end++) {
        }
        const float *left = a + i * A_ROW_STRIDE;
        if (kind == 0)
            multiply_unmarked(end - i, columns, pairs, left, b, add, c + i * ldc, ldc);
        else
            csimd_gemm_avx512_bf16.multiply(end - i, columns, depth, left, false, b, add, c + i * ldc, ldc);
    }
}

// A stored [depth, rows] to the layout of pack_a_rows: pairs of 16 rows are put together as for a panel, then turned round.
static void pack_a_turned(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    assert(type == CSIMD_BF16);
    (void)type;
    const uint16_t *x = a;
    _Alignas(CSIMD_ALIGNMENT) float square[v_lanes][v_lanes];
    for (size_t i = 0; i < rows; i += v_lanes) {
        for (size_t p = 0; p < depth; p += 2 * v_lanes) {
            for (size_t q = 0; q < v_lanes; q++) {
                const size_t at = p + 2 * q;
                const __m512i none = _mm512_setzero_si512();
                const __m512i even = at < depth ? half_row(x + at * lda + i, rows - i) : none;
                const __m512i odd = at + 1 < depth ? half_row(x + (at + 1) * lda + i, rows - i) : none;
                _mm512_store_si512(square[q], interleave(even, odd, 0));
            }
            transpose_pairs((const char *)square, sizeof square[0], NULL, csimd_minimum(rows - i, v_lanes), A_ROW_STRIDE,
                            packed + i * A_ROW_STRIDE + p / 2, no_mark());
        }
    }
    uint32_t count = 0;
    for (size_t i = 0; i < rows; i++, packed += A_ROW_STRIDE) {
        __m512i least = no_mark();
        for (size_t q = 0; q < (depth + 1) / 2; q += v_lanes) least = mark(least, _mm512_loadu_si512(packed + q));
        uint32_t *counts = counts_of_row(packed);
        counts[0] = count;
        count += is_marked(least);
        counts[1] = count;
    }
}
