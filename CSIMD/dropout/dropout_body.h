// Dropout over the vocabulary of vector_avx2.h or vector_avx512.h: masks for a chunk of elements, then one pass over it.

#include "dropout_masks_body.h"

V_INLINE void drop_of(csimd_type type, const csimd_dropout_rule *rule, size_t count, const void *x, void *y) {
    uint32_t mask[csimd_dropout_masks];
    const v_f32 scale = v_set((float)rule->scale);
    for (size_t start = 0; start < count; start += csimd_dropout_chunk) {
        const size_t run = csimd_minimum(count - start, csimd_dropout_chunk);
        const uint64_t position = rule->position + start, odd = position & 1;
        make_masks(rule, position - odd, run + odd, mask);
        const float *kept = (const float *)(const void *)(mask + odd);
        size_t i = 0;
        for (; i + v_lanes <= run; i += v_lanes) {
            const v_f32 value = v_mul(v_load(type, x, start + i), scale);
            v_store(type, y, start + i, v_and(value, v_load(CSIMD_F32, kept, i)));
        }
        if (i < run) {
            const v_f32 value = v_mul(v_load_first(type, x, start + i, run - i), scale);
            v_store_first(type, y, start + i, run - i, v_and(value, v_load_first(CSIMD_F32, kept, i, run - i)));
        }
    }
}

static void drop(const csimd_dropout_rule *rule, csimd_type type, size_t count, const void *x, void *y) {
    switch (type) {
    case CSIMD_F32:
        drop_of(CSIMD_F32, rule, count, x, y);
        return;
    case CSIMD_F16:
        drop_of(CSIMD_F16, rule, count, x, y);
        return;
    case CSIMD_BF16:
        drop_of(CSIMD_BF16, rule, count, x, y);
        return;
    case CSIMD_F64:
        csimd_dropout_kernels_ref.drop(rule, type, count, x, y);
        return;
    }
}
