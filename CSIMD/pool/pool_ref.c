// Reference pooling, channel by channel; for f64 in float64.
#include "pool.h"

#include "../support/scalar16.h"

static void store(csimd_type type, void *y, size_t index, double value) {
    if (type == CSIMD_F64)
        csimd_store_f64(type, y, index, value);
    else
        csimd_store_f32(type, y, index, (float)value);
}

static void max_window(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *x,
                       void *y, uint16_t *places) {
    for (size_t c = 0; c < channels; c++) {
        size_t which = 0;
        for (size_t p = 1; p < count; p++) {
            const double value = csimd_load_f64(type, x, at[p] + c);
            if (value > csimd_load_f64(type, x, at[which] + c) || value != value) which = p;
        }
        csimd_store_f64(type, y, c, csimd_load_f64(type, x, at[which] + c));
        places[c] = csimd_f32_to_f16(place[which]).bits;
    }
}

static double counted(csimd_type type, const void *dy, const void *y, const uint16_t *places, size_t at, float place) {
    if (csimd_f16_to_f32((csimd_f16){places[at]}) != place) return 0;
    if (y != NULL && !(csimd_load_f64(type, y, at) > 0)) return 0;
    return csimd_load_f64(type, dy, at);
}

static void max_scatter(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *dy,
                        const void *y, const uint16_t *places, void *dx) {
    for (size_t p = 0; p < count; p++)
        for (size_t c = 0; c < channels; c++) csimd_store_f64(type, dx, at[p] + c, counted(type, dy, y, places, c, place[p]));
}

static void max_gather(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *dy,
                       const void *y, const uint16_t *places, void *dx) {
    for (size_t c = 0; c < channels; c++) {
        double sum = 0;
        for (size_t p = 0; p < count; p++) sum += counted(type, dy, y, places, at[p] + c, place[p]);
        store(type, dx, c, sum);
    }
}

static void weighted_sum(csimd_type type, size_t channels, size_t count, const size_t *at, const double *weight, double scale,
                         const void *x, void *y) {
    for (size_t c = 0; c < channels; c++) {
        double sum = 0;
        for (size_t p = 0; p < count; p++) sum += weight[p] * csimd_load_f64(type, x, at[p] + c);
        store(type, y, c, scale * sum);
    }
}

const csimd_pool_kernels csimd_pool_kernels_ref = {
    .max_window = max_window,
    .max_scatter = max_scatter,
    .max_gather = max_gather,
    .weighted_sum = weighted_sum,
};
