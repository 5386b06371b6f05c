// Masks of dropout from Philox4x32-10 (Salmon et al. 2011), in the compiler's vectors of 8 counters, which each instruction set
// splits as it must: a round is 2 multiplications 32 x 32 -> 64 and 6 other operations on them.

typedef uint64_t counters __attribute__((vector_size(64)));
enum { counters_at_once = 8, elements_at_once = 2 * counters_at_once };

// mask[i] is all ones where element `position` (even) + i is kept, else 0, for i < count rounded up to elements_at_once.
static inline __attribute__((always_inline)) void make_masks(const csimd_dropout_rule *rule, uint64_t position, size_t count,
                                                             uint32_t *mask) {
    const counters none = {0}, low = none + 0xFFFFFFFF, threshold = none + rule->threshold;
    for (size_t i = 0; i < count; i += elements_at_once) {
        const counters block = position / 2 + i / 2 + (counters){0, 1, 2, 3, 4, 5, 6, 7};
        counters a = block & low, b = block >> 32, c = none + (rule->stream & 0xFFFFFFFF), d = none + (rule->stream >> 32);
        uint32_t key_a = (uint32_t)rule->seed, key_b = (uint32_t)(rule->seed >> 32);
#pragma clang loop unroll(full)
        for (int round = 0; round < 10; round++) {
            const counters p = a * 0xD2511F53, q = c * 0xCD9E8D57;
            a = (q >> 32) ^ b ^ (uint64_t)key_a;
            b = q & low;
            c = (p >> 32) ^ d ^ (uint64_t)key_b;
            d = p & low;
            key_a += 0x9E3779B9;
            key_b += 0xBB67AE85;
        }
        const counters first = (a | b << 32) >> 11, second = (c | d << 32) >> 11;
        const counters both = ((counters)(first >= threshold) & low) | ((counters)(second >= threshold) & ~low);
        memcpy(mask + i, &both, sizeof both);
    }
}
