// Reference row of random numbers, and float64 of every row: the formulas with the C library's functions.
#include "random.h"

#include "../support/scalar16.h"

#include "random_words_body.h"

static void fill(const csimd_random_rule *rule, csimd_type type, size_t count, void *y) {
    const bool normal = rule->kind == CSIMD_NORMAL;
    const size_t words = normal ? 2 : 1;
    uint64_t room[word_room];
    for (size_t start = 0; start < count; start += csimd_random_run) {
        const size_t length = csimd_minimum(csimd_random_run, count - start);
        const uint64_t *word = make_words(rule, rule->position + words * start, words * length, room);
        for (size_t i = 0; i < length; i++)
            csimd_store_f64(type, y, start + i,
                            normal ? normal_number(rule, word[2 * i], word[2 * i + 1]) : uniform_number(rule, word[i]));
    }
}

const csimd_random_kernels csimd_random_kernels_ref = {.fill = fill};
