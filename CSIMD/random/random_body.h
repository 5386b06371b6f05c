// Random numbers for f32, f16 and bf16, 8 at a time. A normal number is computed in float64 by support/wide_math_body.h, which
// differs from the C library's logarithm and cosine in the last bits; where that could show in float32, the number is computed
// again with the library. So every row gives the same numbers. Uniform numbers are the same in float64 already.

#include "../support/wide_math_body.h"
#include "random_words_body.h"

typedef float narrow __attribute__((vector_size(32)));
typedef int32_t narrow_bits __attribute__((vector_size(32)));

V_INLINE wide wide_units(csimd_words word) { return __builtin_convertvector(word >> 11, wide) * 0x1p-53; }

// Rounded to float32 for f32; else so that rounding the result to 16 bits rounds the number once: a number between two float32
// becomes the one whose last bit is set.
V_INLINE narrow narrowed(csimd_type type, wide x) {
    const narrow nearest = __builtin_convertvector(x, narrow);
    if (type == CSIMD_F32) return nearest;
    const wide back = __builtin_convertvector(nearest, wide);
    const wide_bits beyond = __builtin_elementwise_abs(back) > __builtin_elementwise_abs(x), inexact = back != x;
    const narrow_bits below = (narrow_bits)nearest + __builtin_convertvector(beyond, narrow_bits);
    return (narrow)(below | (__builtin_convertvector(inexact, narrow_bits) & 1));
}

V_INLINE narrow uniform_numbers(const csimd_random_rule *rule, csimd_type type, const uint64_t *word) {
#pragma clang fp contract(off)
    csimd_words words;
    memcpy(&words, word, sizeof words);
    const wide product = rule->scale * wide_units(words);
    return narrowed(type, rule->start + product);
}

// cos(2 pi v) = -sin(2 pi (1/4 - |v - 1/2|)), whose argument is exact. The radius is within 2^-48 of the library's and the
// cosine, whose argument the library rounds, within 2^-48: a number of the standard distribution within 2^-46 of the radius.
V_INLINE narrow normal_numbers(const csimd_random_rule *rule, csimd_type type, const uint64_t *word) {
    csimd_words low, high;
    memcpy(&low, word, sizeof low);
    memcpy(&high, word + 8, sizeof high);
    const wide u = wide_units(__builtin_shufflevector(low, high, 0, 2, 4, 6, 8, 10, 12, 14));
    const wide v = wide_units(__builtin_shufflevector(low, high, 1, 3, 5, 7, 9, 11, 13, 15));
    const wide radius = __builtin_elementwise_sqrt(w_log2(1 - u) * -1.3862943611198906);
    const wide number = rule->start - rule->scale * radius * w_sine_of_turns(0.25 - __builtin_elementwise_abs(v - 0.5));
    const wide error = radius * (fabs(rule->scale) * 0x1p-44) + fabs(rule->start) * 0x1p-50;
    narrow result = narrowed(type, number - error);
    const narrow_bits differs = result != narrowed(type, number + error);
    if (__builtin_expect(__builtin_reduce_or(differs) != 0, 0))
        for (size_t lane = 0; lane < wide_lanes; lane++)
            if (differs[lane])
                result[lane] = narrowed(type, (wide){0} + normal_number(rule, word[2 * lane], word[2 * lane + 1]))[0];
    return result;
}

V_INLINE void fill_of(csimd_distribution kind, csimd_type type, const csimd_random_rule *rule, size_t count, void *y) {
    const size_t words = kind == CSIMD_NORMAL ? 2 : 1;
    uint64_t room[word_room];
    float number[csimd_random_run];
    for (size_t start = 0; start < count; start += csimd_random_run) {
        const size_t length = csimd_minimum(csimd_random_run, count - start);
        const uint64_t *word = make_words(rule, rule->position + words * start, words * csimd_random_run, room);
        for (size_t i = 0; i < length; i += wide_lanes) {
            const narrow numbers =
                kind == CSIMD_NORMAL ? normal_numbers(rule, type, word + 2 * i) : uniform_numbers(rule, type, word + i);
            memcpy(number + i, &numbers, sizeof numbers);
        }
        size_t i = 0;
        for (; i + v_lanes <= length; i += v_lanes) v_store(type, y, start + i, v_load(CSIMD_F32, number, i));
        if (i < length) v_store_first(type, y, start + i, length - i, v_load_first(CSIMD_F32, number, i, length - i));
    }
}

V_INLINE void fill_by(csimd_type type, const csimd_random_rule *rule, size_t count, void *y) {
    if (rule->kind == CSIMD_NORMAL)
        fill_of(CSIMD_NORMAL, type, rule, count, y);
    else
        fill_of(CSIMD_UNIFORM, type, rule, count, y);
}

static void fill(const csimd_random_rule *rule, csimd_type type, size_t count, void *y) {
    switch (type) {
    case CSIMD_F32:
        fill_by(CSIMD_F32, rule, count, y);
        return;
    case CSIMD_F16:
        fill_by(CSIMD_F16, rule, count, y);
        return;
    case CSIMD_BF16:
        fill_by(CSIMD_BF16, rule, count, y);
        return;
    case CSIMD_F64:
        csimd_random_kernels_ref.fill(rule, type, count, y);
        return;
    }
}
