// Reference row of embedding and rotation: the formulas, rounded to the storage type; it also serves float64 for every row.
#include "embedding.h"

#include "../support/scalar16.h"

static void add(csimd_type type, size_t count, const void *x, void *sum) {
    for (size_t j = 0; j < count; j++) {
        if (type == CSIMD_F64)
            ((double *)sum)[j] += ((const double *)x)[j];
        else
            ((float *)sum)[j] += csimd_load_f32(type, x, j);
    }
}

static void rotate(csimd_type type, size_t heads, size_t head_size, const void *x, const void *cosine, const void *sine,
                   float sign, void *y) {
    const size_t half = head_size / 2;
    const csimd_type angles = type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32;
    for (size_t h = 0; h < heads; h++) {
        for (size_t j = 0; j < half; j++) {
            const size_t at = h * head_size + j;
            const double c = csimd_load_f64(angles, cosine, j), s = (double)sign * csimd_load_f64(angles, sine, j);
            const double a = csimd_load_f64(type, x, at), b = csimd_load_f64(type, x, at + half);
            csimd_store_f64(type, y, at, a * c - b * s);
            csimd_store_f64(type, y, at + half, b * c + a * s);
        }
    }
}

const csimd_embedding_kernels csimd_embedding_kernels_ref = {.add = add, .rotate = rotate};
