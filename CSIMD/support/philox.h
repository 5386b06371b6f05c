// Philox4x32-10 (Salmon et al. 2011) in the compiler's vectors of 8 counters, which each instruction set splits as it must: a
// round is 2 multiplications 32 x 32 -> 64 and 6 other operations on them.
#ifndef CSIMD_PHILOX_H
#define CSIMD_PHILOX_H

#include "internal.h"

typedef uint64_t csimd_words __attribute__((vector_size(64)));

// The first and the second 64-bit word of blocks `block` ... `block` + 7 of a stream.
typedef struct {
    csimd_words first, second;
} csimd_word_pairs;

static inline __attribute__((always_inline)) csimd_word_pairs csimd_philox(uint64_t seed, uint64_t stream, uint64_t block) {
    const csimd_words none = {0}, low = none + 0xFFFFFFFF;
    const csimd_words blocks = (block + (csimd_words){0, 1, 2, 3, 4, 5, 6, 7}) & INT64_MAX;  // 2^64 words, then from the first
    csimd_words a = blocks & low, b = blocks >> 32, c = none + (stream & 0xFFFFFFFF), d = none + (stream >> 32);
    uint32_t key_a = (uint32_t)seed, key_b = (uint32_t)(seed >> 32);
#pragma clang loop unroll(full)
    for (int round = 0; round < 10; round++) {
        const csimd_words p = a * 0xD2511F53, q = c * 0xCD9E8D57;
        a = (q >> 32) ^ b ^ (uint64_t)key_a;
        b = q & low;
        c = (p >> 32) ^ d ^ (uint64_t)key_b;
        d = p & low;
        key_a += 0x9E3779B9;
        key_b += 0xBB67AE85;
    }
    return (csimd_word_pairs){a | b << 32, c | d << 32};
}

#endif
