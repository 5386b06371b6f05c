// Reference row of dropout, and float64 of every row.
#include "dropout.h"

#include "../support/scalar16.h"

#include "dropout_masks_body.h"

static void drop(const csimd_dropout_rule *rule, csimd_type type, size_t count, const void *x, void *y) {
    uint32_t mask[csimd_dropout_masks];
    for (size_t start = 0; start < count; start += csimd_dropout_chunk) {
        const size_t run = csimd_minimum(count - start, csimd_dropout_chunk);
        const uint64_t position = rule->position + start, odd = position & 1;
        make_masks(rule, position - odd, run + odd, mask);
        for (size_t i = 0; i < run; i++) {
            const bool kept = mask[i + odd] != 0;
            if (type == CSIMD_F64)
                ((double *)y)[start + i] = kept ? ((const double *)x)[start + i] * rule->scale : 0;
            else
                csimd_store_f32(type, y, start + i, kept ? csimd_load_f32(type, x, start + i) * (float)rule->scale : 0);
        }
    }
}

const csimd_dropout_kernels csimd_dropout_kernels_ref = {.drop = drop};
