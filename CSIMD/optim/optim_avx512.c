// Optimizer steps, 16 float32 lanes. AdamW with a bf16 shadow moves 30 bytes an element (16 read, 14 written) for one square
// root and one division a vector: about 20 cycles of the divider for 480 bytes, which an L2 cache delivers in the same time.
#include "optim.h"

#include "../support/vector_avx512.h"

#if CSIMD_X86

#pragma clang attribute push(__attribute__((target(CSIMD_TARGET_AVX512))), apply_to = function)

// Two vectors to f16 or bf16, as v_store twice. bf16: where no lane is NaN, which one comparison tells of both, one permutation
// takes the upper halves of both: 5 instructions a vector instead of 9.
V_INLINE void store_two(csimd_type type, void *y, size_t index, v_f32 low, v_f32 high) {
    if (type != CSIMD_BF16 || _mm512_cmp_ps_mask(low, high, _CMP_UNORD_Q) != 0) {
        v_store(type, y, index, low);
        v_store(type, y, index + v_lanes, high);
        return;
    }
    const __m512i upper_halves = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27,
                                                  25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    const __m512i one = _mm512_set1_epi32(1), below_half = _mm512_set1_epi32(0x7FFF);
    __m512i a = _mm512_castps_si512(low), b = _mm512_castps_si512(high);
    a = _mm512_add_epi32(_mm512_add_epi32(a, below_half), _mm512_and_si512(_mm512_srli_epi32(a, 16), one));
    b = _mm512_add_epi32(_mm512_add_epi32(b, below_half), _mm512_and_si512(_mm512_srli_epi32(b, 16), one));
    _mm512_storeu_si512((uint16_t *)y + index, _mm512_permutex2var_epi16(a, upper_halves, b));
}

#include "optim_body.h"

#include "adagrad_body.h"
#include "lion_body.h"
#include "rmsprop_body.h"

#pragma clang attribute pop

const csimd_optim_kernels csimd_optim_kernels_avx512 = {
    .sgd = sgd, .adam = adam, .rmsprop = rmsprop, .adagrad = adagrad, .lion = lion};
#endif
