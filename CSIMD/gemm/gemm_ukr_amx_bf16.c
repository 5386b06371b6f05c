// GEMM micro-kernel of bf16 by bf16, AMX: 32x32 f32 in four tiles, 32 of k at a time. A step is 4 TDPBF16PS of 16 cycles = 64,
// 16,384 multiply-adds, 256 a cycle, 8 times the FMA of AVX-512, against 4 tile loads of 8 cycles = 32: bound by TDPBF16PS.
// 1,024 of k are 2,048 cycles; configuring the tiles, and their store and the copy to C (8 KiB) at the end, cost about 100.
// Untested: no machine with AMX has run this file. gemm_ukr_amx_bf16_emulated.c runs all of it but the instructions.
#include "gemm.h"

#if CSIMD_X86
#include "gemm_avx512.h"

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512_BF16 ",amx-tile,amx-bf16"))), apply_to = function)

#include "gemm_marks_avx512.h"

#include "gemm_pack_pairs_avx512.h"

#define TILE_ZERO(tile) _tile_zero(tile)
#define TILE_LOAD(tile, from, bytes_a_row) _tile_loadd(tile, from, bytes_a_row)
#define TILE_STORE(tile, to, bytes_a_row) _tile_stored(tile, to, bytes_a_row)
#define TILE_DOT(sums, a, b) _tile_dpbf16ps(sums, a, b)

// Released after each product of tiles: a thread that holds tiles costs more to switch.
V_INLINE void tiles_begin(const void *shapes) { _tile_loadconfig(shapes); }
V_INLINE void tiles_end(void) { _tile_release(); }

#include "gemm_tiles_amx_body.h"

const csimd_gemm_kernels csimd_gemm_amx_bf16 = {
#include "gemm_kernels_amx_body.h"
};

#pragma clang attribute pop
#endif
