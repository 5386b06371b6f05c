// The micro-kernel of float16 chunks, included by the file for the instruction and by the one that emulates it; the includer
// brings h_multiply_add on vectors of 32 float16. Packed operands are float16: A's rows at A_ROW_STRIDE floats or panels of 16
// elements a step, B's panels 64 (32 for the last columns) a step.

enum { TILE_H_COLUMNS = 64, NARROW_COLUMNS = 32, H_LANES = 32, A_PANEL_ELEMENTS = 16 };

// Lanes 0 to 15 (half 0) or 16 to 31, widened.
V_INLINE v_f32 widened_half(__m512i x, int half) {
    return v_widen_f16(half == 0 ? _mm512_castsi512_si256(x) : _mm512_extracti64x4_epi64(x, 1));
}

V_INLINE void tile(const int rows, const int vectors, const bool a_in_panels, size_t columns, size_t depth,
                   const float *packed_a, const float *packed_b, bool add, float *c, size_t ldc) {
    const uint16_t *a = (const uint16_t *)(const void *)packed_a, *b = (const uint16_t *)(const void *)packed_b;
    const size_t a_row = a_in_panels ? 1 : 2 * A_ROW_STRIDE, a_step = a_in_panels ? A_PANEL_ELEMENTS : 1;
    _Alignas(CSIMD_ALIGNMENT) float total[NARROW_TILE_ROWS * NARROW_COLUMNS];  // or half as many rows, twice as wide
    const size_t width = (size_t)vectors * H_LANES;
    for (size_t first = 0; first < depth; first += CSIMD_CHUNK) {
        const size_t run = csimd_minimum(depth - first, CSIMD_CHUNK);
        __m512i sum[NARROW_TILE_ROWS][2];
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vectors; v++) sum[i][v] = _mm512_setzero_si512();
        for (size_t p = 0; p < run; p++, a += a_step, b += width) {
            __m512i right[2];
#pragma clang loop unroll(full)
            for (int v = 0; v < vectors; v++) right[v] = _mm512_loadu_si512(b + v * H_LANES);
#pragma clang loop unroll(full)
            for (int i = 0; i < rows; i++) {
                const __m512i left = _mm512_set1_epi16((short)a[(size_t)i * a_row]);
                for (int v = 0; v < vectors; v++) sum[i][v] = h_multiply_add(left, right[v], sum[i][v]);
            }
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            for (int half = 0; half < 2 * vectors; half++) {
                float *to = total + (size_t)i * width + (size_t)half * v_lanes;
                const v_f32 z = widened_half(sum[i][half / 2], half % 2);
                store_floats(to, first == 0 ? z : v_add(load_floats(to), z));
            }
        }
    }
    for (size_t i = 0; i < (size_t)rows; i++) {
        for (size_t j = 0; j < csimd_minimum(columns, width); j += v_lanes) {
            v_f32 z = load_floats(total + i * width + j);
            if (add) z = v_add(load_some(CSIMD_F32, c, i * ldc + j, columns - j), z);
            store_some(CSIMD_F32, c, i * ldc + j, columns - j, z);
        }
    }
}

V_INLINE __m512i load_halves(const uint16_t *x, size_t count) {
    return count >= H_LANES ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi16(((__mmask32)1 << count) - 1, x);
}

static void pack_a_rows(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    assert(type == CSIMD_F16);
    (void)type;
    for (size_t i = 0; i < rows; i++, packed += A_ROW_STRIDE) {
        const uint16_t *x = (const uint16_t *)a + i * lda;
        for (size_t p = 0; p < depth; p += H_LANES) _mm512_storeu_si512(packed + p / 2, load_halves(x + p, depth - p));
    }
}

static void pack_a_panels(csimd_type type, const void *a, size_t lda, size_t rows, size_t depth, float *packed) {
    assert(type == CSIMD_F16);
    (void)type;
    for (size_t i = 0; i < rows;) {
        uint16_t *to = (uint16_t *)(void *)packed;
        const size_t height = csimd_gemm_next_height(rows - i, TILE_ROWS);
        const __mmask16 mask = (__mmask16)((1u << height) - 1u);
        const uint16_t *x = (const uint16_t *)a + i;
        for (size_t p = 0; p < depth; p++, to += A_PANEL_ELEMENTS)
            _mm256_storeu_si256((__m256i *)(void *)to, _mm256_maskz_loadu_epi16(mask, x + p * lda));
        packed += ((depth + 1) / 2 + 1) * v_lanes;
        i += height;
    }
}

// Columns 0 ..< count of a panel 32 or 64 wide.
static void pack_b_rows(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    assert(type == CSIMD_F16);
    (void)type;
    for (size_t j = 0; j < columns; j += TILE_H_COLUMNS, packed += ((depth + 1) / 2 + 1) * TILE_H_COLUMNS) {
        const size_t count = csimd_minimum(columns - j, TILE_H_COLUMNS);
        const uint16_t *x = (const uint16_t *)b + j;
        uint16_t *to = (uint16_t *)(void *)packed;
        for (size_t p = 0; p < depth; p++, x += ldb) {
            for (size_t v = 0; v < count; v += H_LANES, to += H_LANES) _mm512_storeu_si512(to, load_halves(x + v, count - v));
        }
    }
}

// to[p * width + j] = b[j * ldb + p] for up to 32 columns: pairs of k of 16 columns at a time are transposed as float32 is,
// then the elements of p and of p + 1 part. Rows shorter than 32 elements, and columns past the last, pass through zeros.
static void pack_b_32_columns(const uint16_t *b, size_t ldb, size_t depth, size_t columns, size_t width, uint16_t *to) {
    _Alignas(CSIMD_ALIGNMENT) uint16_t square[H_LANES][H_LANES];
    const __m512i even = _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26, 24, 22,
                                          20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi16(even, _mm512_set1_epi16(1));
    for (size_t p = 0; p < depth; p += H_LANES) {
        const size_t run = csimd_minimum(depth - p, H_LANES);
        for (size_t j = 0; j < H_LANES; j++)
            _mm512_store_si512(square[j], j < columns ? load_halves(b + j * ldb + p, run) : _mm512_setzero_si512());
#pragma clang loop unroll(full)
        for (size_t q = 0; q < v_lanes; q += 4) {
            v_f32 low[4], high[4];
#pragma clang loop unroll(full)
            for (size_t s = 0; s < 4; s++) {
                low[s] = load_lanes((const char *)&square[s][2 * q], sizeof square[0]);
                high[s] = load_lanes((const char *)&square[v_lanes + s][2 * q], sizeof square[0]);
            }
            transpose_lanes(low);
            transpose_lanes(high);
#pragma clang loop unroll(full)
            for (size_t s = 0; s < 4; s++) {
                const __m512i left = _mm512_castps_si512(low[s]), right = _mm512_castps_si512(high[s]);
                uint16_t *row = to + (p + 2 * (q + s)) * width;
                if (2 * (q + s) < run) _mm512_storeu_si512(row, _mm512_permutex2var_epi16(left, even, right));
                if (2 * (q + s) + 1 < run) _mm512_storeu_si512(row + width, _mm512_permutex2var_epi16(left, odd, right));
            }
        }
    }
}

static void pack_b_columns(csimd_type type, const void *b, size_t ldb, size_t depth, size_t columns, float *packed) {
    assert(type == CSIMD_F16);
    (void)type;
    for (size_t j = 0; j < columns; j += TILE_H_COLUMNS, packed += ((depth + 1) / 2 + 1) * TILE_H_COLUMNS) {
        const size_t count = csimd_minimum(columns - j, TILE_H_COLUMNS), width = count > H_LANES ? TILE_H_COLUMNS : H_LANES;
        for (size_t v = 0; v < count; v += H_LANES)
            pack_b_32_columns((const uint16_t *)b + (j + v) * ldb, ldb, depth, csimd_minimum(count - v, H_LANES), width,
                              (uint16_t *)(void *)packed + v);
    }
}

#include "gemm_tiles_avx512_body.h"
