// Pooling over the vector vocabulary: lanes are channels. A 2x2 maximum is 4 loads, 3 comparisons and 6 selections a vector of
// results and its places: bound by memory from about 100 KB on.

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t count) {
    return count >= v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, count);
}
V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t count, v_f32 value) {
    if (count >= v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, count, value);
}

V_INLINE void max_window_of(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *x,
                            void *y, uint16_t *places) {
    for (size_t c = 0; c < channels; c += v_lanes) {
        v_f32 largest = load_lanes(type, x, at[0] + c, channels - c), which = v_set(place[0]);
        for (size_t p = 1; p < count; p++) {
            const v_f32 value = load_lanes(type, x, at[p] + c, channels - c);
            const v_mask takes = v_either(v_less(largest, value), v_nan(value));
            largest = v_select(takes, value, largest);
            which = v_select(takes, v_set(place[p]), which);
        }
        store_lanes(type, y, c, channels - c, largest);
        store_lanes(CSIMD_F16, places, c, channels - c, which);
    }
}

V_INLINE void max_scatter_of(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place,
                             const void *dy, const void *y, const uint16_t *places, void *dx) {
    const v_f32 zero = v_set(0);
    for (size_t c = 0; c < channels; c += v_lanes) {
        v_f32 gradient = load_lanes(type, dy, c, channels - c);
        if (y != NULL) gradient = v_select(v_less(zero, load_lanes(type, y, c, channels - c)), gradient, zero);
        const v_f32 which = load_lanes(CSIMD_F16, places, c, channels - c);
        for (size_t p = 0; p < count; p++)
            store_lanes(type, dx, at[p] + c, channels - c, v_select(v_equal(which, v_set(place[p])), gradient, zero));
    }
}

V_INLINE void max_gather_of(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place,
                            const void *dy, const void *y, const uint16_t *places, void *dx) {
    const v_f32 zero = v_set(0);
    for (size_t c = 0; c < channels; c += v_lanes) {
        v_f32 sum = zero;
        for (size_t p = 0; p < count; p++) {
            const v_f32 which = load_lanes(CSIMD_F16, places, at[p] + c, channels - c);
            v_f32 gradient = load_lanes(type, dy, at[p] + c, channels - c);
            if (y != NULL) gradient = v_select(v_less(zero, load_lanes(type, y, at[p] + c, channels - c)), gradient, zero);
            sum = v_add(sum, v_select(v_equal(which, v_set(place[p])), gradient, zero));
        }
        store_lanes(type, dx, c, channels - c, sum);
    }
}

V_INLINE void weighted_sum_of(csimd_type type, size_t channels, size_t count, const size_t *at, const double *weight,
                              double scale, const void *x, void *y) {
    for (size_t c = 0; c < channels; c += v_lanes) {
        v_f32 sum = v_set(0);
        for (size_t p = 0; p < count; p++)
            sum = v_fma(v_set((float)weight[p]), load_lanes(type, x, at[p] + c, channels - c), sum);
        store_lanes(type, y, c, channels - c, v_mul(sum, v_set((float)scale)));
    }
}

static void max_window(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *x,
                       void *y, uint16_t *places) {
    if (type == CSIMD_F32) max_window_of(CSIMD_F32, channels, count, at, place, x, y, places);
    if (type == CSIMD_F16) max_window_of(CSIMD_F16, channels, count, at, place, x, y, places);
    if (type == CSIMD_BF16) max_window_of(CSIMD_BF16, channels, count, at, place, x, y, places);
}

static void max_scatter(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *dy,
                        const void *y, const uint16_t *places, void *dx) {
    if (type == CSIMD_F32) max_scatter_of(CSIMD_F32, channels, count, at, place, dy, y, places, dx);
    if (type == CSIMD_F16) max_scatter_of(CSIMD_F16, channels, count, at, place, dy, y, places, dx);
    if (type == CSIMD_BF16) max_scatter_of(CSIMD_BF16, channels, count, at, place, dy, y, places, dx);
}

static void max_gather(csimd_type type, size_t channels, size_t count, const size_t *at, const float *place, const void *dy,
                       const void *y, const uint16_t *places, void *dx) {
    if (type == CSIMD_F32) max_gather_of(CSIMD_F32, channels, count, at, place, dy, y, places, dx);
    if (type == CSIMD_F16) max_gather_of(CSIMD_F16, channels, count, at, place, dy, y, places, dx);
    if (type == CSIMD_BF16) max_gather_of(CSIMD_BF16, channels, count, at, place, dy, y, places, dx);
}

static void weighted_sum(csimd_type type, size_t channels, size_t count, const size_t *at, const double *weight, double scale,
                         const void *x, void *y) {
    if (type == CSIMD_F32) weighted_sum_of(CSIMD_F32, channels, count, at, weight, scale, x, y);
    if (type == CSIMD_F16) weighted_sum_of(CSIMD_F16, channels, count, at, weight, scale, x, y);
    if (type == CSIMD_BF16) weighted_sum_of(CSIMD_BF16, channels, count, at, weight, scale, x, y);
}
