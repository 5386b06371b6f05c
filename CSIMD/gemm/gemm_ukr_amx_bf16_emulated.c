// gemm_ukr_amx_bf16.c with the tile instructions emulated as Intel's manual defines them, for tests of packing, edges and
// subnormals on CPUs without AMX. About a thousandth of its speed.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512_BF16))), apply_to = function)

#include "gemm_marks_avx512.h"

#include "gemm_pack_pairs_avx512.h"

typedef struct {
    size_t rows, bytes_a_row;
    float values[16][16];
} emulated_tile;

static _Thread_local emulated_tile tiles[8];

#define TILE_ZERO(tile) memset(tiles[tile].values, 0, sizeof tiles[tile].values)
#define TILE_LOAD(tile, from, bytes_a_row) tile_load(&tiles[tile], (const char *)(from), bytes_a_row)
#define TILE_STORE(tile, to, bytes_a_row) tile_store(&tiles[tile], (char *)(to), bytes_a_row)
#define TILE_DOT(sums, a, b) tile_dot(&tiles[sums], &tiles[a], &tiles[b])

static void tiles_begin(const void *shapes) {
    for (int tile = 0; tile < 8; tile++) {
        uint16_t bytes_a_row;
        memcpy(&bytes_a_row, (const char *)shapes + 16 + 2 * tile, sizeof bytes_a_row);
        tiles[tile].rows = ((const uint8_t *)shapes)[48 + tile];
        tiles[tile].bytes_a_row = bytes_a_row;
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 16; j++) tiles[tile].values[i][j] = NAN;  // to be found out by who uses it
    }
}
static void tiles_end(void) {}

static void tile_load(emulated_tile *tile, const char *from, size_t stride) {
    assert(tile->rows > 0);
    for (size_t i = 0; i < tile->rows; i++) memcpy(tile->values[i], from + i * stride, tile->bytes_a_row);
}

static void tile_store(const emulated_tile *tile, char *to, size_t stride) {
    for (size_t i = 0; i < tile->rows; i++) memcpy(to + i * stride, tile->values[i], tile->bytes_a_row);
}

static float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static float half_of_pair(float pair, int half) {
    const uint32_t bits = csimd_bits_of_f32(pair);
    return flushed(csimd_f32_of_bits(half == 0 ? bits << 16 : bits & 0xFFFF0000u));
}

// TDPBF16PS: even and odd products are summed apart, each by multiply-adds from 0, their sum is added to the tile. Rounding is
// to nearest even, subnormal operands and results are zero.
static void tile_dot(emulated_tile *sums, const emulated_tile *a, const emulated_tile *b) {
    for (size_t i = 0; i < a->rows; i++) {
        for (size_t j = 0; j < b->bytes_a_row / sizeof(float); j++) {
            float sum[2] = {0, 0};
            for (size_t q = 0; q < a->bytes_a_row / sizeof(float); q++)
                for (int half = 0; half < 2; half++)
                    sum[half] =
                        flushed(fmaf(half_of_pair(a->values[i][q], half), half_of_pair(b->values[q][j], half), sum[half]));
            sums->values[i][j] = flushed(sums->values[i][j] + flushed(sum[0] + sum[1]));
        }
    }
}

#include "gemm_tiles_amx_body.h"

const csimd_gemm_kernels csimd_gemm_amx_bf16_emulated = {
#include "gemm_kernels_amx_body.h"
};

#pragma clang attribute pop
#endif
