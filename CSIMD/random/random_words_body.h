// Words of the generator for a run of numbers, and the numbers by their formulas, one at a time.

#include "../support/philox.h"

enum { words_of_run = 2 * csimd_random_run, word_room = words_of_run + 32 };

// word[i] = word `position` + i of the stream, i < count; returns where in `room` they begin.
static const uint64_t *make_words(const csimd_random_rule *rule, uint64_t position, size_t count, uint64_t *room) {
    const uint64_t odd = position & 1;
    for (size_t i = 0; i < count + odd; i += 16) {
        const csimd_word_pairs pairs = csimd_philox(rule->seed, rule->stream, (position - odd + i) / 2);
        const csimd_words in_order[2] = {
            __builtin_shufflevector(pairs.first, pairs.second, 0, 8, 1, 9, 2, 10, 3, 11),
            __builtin_shufflevector(pairs.first, pairs.second, 4, 12, 5, 13, 6, 14, 7, 15),
        };
        memcpy(room + i, in_order, sizeof in_order);
    }
    return room + odd;
}

// In [0, 1): the upper 53 bits.
static inline double unit_of(uint64_t word) { return (double)(word >> 11) * 0x1p-53; }

// Products and sums are rounded one by one, here and in the vectors: a fused one would be another number.
static inline double uniform_number(const csimd_random_rule *rule, uint64_t word) {
#pragma clang fp contract(off)
    const double product = rule->scale * unit_of(word);
    return rule->start + product;
}

static inline double normal_number(const csimd_random_rule *rule, uint64_t first, uint64_t second) {
#pragma clang fp contract(off)
    const double radius = sqrt(-2 * log(1 - unit_of(first)));
    const double number = radius * cos(6.283185307179586 * unit_of(second)), product = rule->scale * number;
    return rule->start + product;
}
