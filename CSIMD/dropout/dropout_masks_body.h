// Masks of dropout from the generator of support/philox.h.

#include "../support/philox.h"

enum { elements_at_once = 16 };

// mask[i] is all ones where element `position` (even) + i is kept, else 0, for i < count rounded up to elements_at_once.
static inline __attribute__((always_inline)) void make_masks(const csimd_dropout_rule *rule, uint64_t position, size_t count,
                                                             uint32_t *mask) {
    const csimd_words none = {0}, low = none + 0xFFFFFFFF, threshold = none + rule->threshold;
    for (size_t i = 0; i < count; i += elements_at_once) {
        const csimd_word_pairs pairs = csimd_philox(rule->seed, rule->stream, position / 2 + i / 2);
        const csimd_words first = pairs.first >> 11, second = pairs.second >> 11;
        const csimd_words both = ((csimd_words)(first >= threshold) & low) | ((csimd_words)(second >= threshold) & ~low);
        memcpy(mask + i, &both, sizeof both);
    }
}
