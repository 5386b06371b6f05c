// Layer and RMS normalisation over the vocabulary of vector_avx2.h or vector_avx512.h. A row comes from memory once; the passes
// over it (mean, squared distances, result) find it in L1. Statistics are float32 sums in four partial sums of vectors, added
// up in float64: of n columns at most n / (4 lanes) + 2 roundings on top of the terms' own.

#define EACH_OF_FOUR _Pragma("clang loop unroll(full)") for (size_t k = 0; k < 4; k++)

V_INLINE v_mask lanes_first(size_t lanes) { return v_less(v_to_f32(v_lane_numbers()), v_set((float)lanes)); }

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t lanes) {
    return lanes == v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, lanes);
}

V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (lanes == v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, lanes, value);
}

V_INLINE double sum_of(const v_f32 part[4]) {
    return v_f64_sum(v_f64_widen(v_add(v_add(part[0], part[1]), v_add(part[2], part[3]))));
}

V_INLINE double row_sum(csimd_type type, const void *x, size_t start, size_t columns) {
    v_f32 part[4];
    EACH_OF_FOUR part[k] = v_set(0);
    size_t j = 0;
    for (; j + 4 * v_lanes <= columns; j += 4 * v_lanes)
        EACH_OF_FOUR part[k] = v_add(part[k], v_load(type, x, start + j + k * v_lanes));
    for (; j < columns; j += v_lanes)
        part[0] = v_add(part[0], load_lanes(type, x, start + j, csimd_minimum(v_lanes, columns - j)));
    return sum_of(part);
}

V_INLINE double row_squares(csimd_type type, const void *x, size_t start, size_t columns, float center) {
    const v_f32 c = v_set(center);
    v_f32 part[4];
    EACH_OF_FOUR part[k] = v_set(0);
    size_t j = 0;
    for (; j + 4 * v_lanes <= columns; j += 4 * v_lanes) EACH_OF_FOUR {
            const v_f32 distance = v_sub(v_load(type, x, start + j + k * v_lanes), c);
            part[k] = v_fma(distance, distance, part[k]);
        }
    for (; j < columns; j += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, columns - j);
        v_f32 distance = v_sub(load_lanes(type, x, start + j, lanes), c);
        if (lanes < v_lanes) distance = v_select(lanes_first(lanes), distance, v_set(0));
        part[0] = v_fma(distance, distance, part[0]);
    }
    return sum_of(part);
}

V_INLINE void forward_rows(csimd_type type, const csimd_row_norm_args *g, void *y, float *mean, float *inverse_deviation) {
    const size_t columns = g->columns;
    for (size_t i = 0; i < g->rows; i++) {
        const size_t start = i * columns;
        float center = 0;
        if (g->kind == CSIMD_LAYER_NORM) mean[i] = center = (float)(row_sum(type, g->x, start, columns) / (double)columns);
        const double square = row_squares(type, g->x, start, columns, center) / (double)columns;
        inverse_deviation[i] = (float)(1 / sqrt(square + g->epsilon));
        const v_f32 c = v_set(center), inverse = v_set(inverse_deviation[i]);
        for (size_t j = 0; j < columns; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, columns - j);
            v_f32 value = v_mul(v_sub(load_lanes(type, g->x, start + j, lanes), c), inverse);
            const v_f32 bias = g->bias == NULL ? v_set(0) : load_lanes(type, g->bias, j, lanes);
            if (g->weight != NULL)
                value = v_fma(value, load_lanes(type, g->weight, j, lanes), bias);
            else if (g->bias != NULL)
                value = v_add(value, bias);
            store_lanes(type, y, start + j, lanes, value);
        }
    }
}

// sums[j] += value, in lanes.
V_INLINE void add_lanes(float *sums, size_t j, size_t lanes, v_f32 value) {
    store_lanes(CSIMD_F32, sums, j, lanes, v_add(load_lanes(CSIMD_F32, sums, j, lanes), value));
}

V_INLINE void backward_rows(csimd_type type, const csimd_row_norm_args *g, const float *mean, const float *inverse_deviation,
                            const void *dy, void *dx, float *weight_sums, float *bias_sums) {
    const size_t columns = g->columns;
    for (size_t i = 0; i < g->rows; i++) {
        const size_t start = i * columns;
        const v_f32 c = v_set(g->kind == CSIMD_LAYER_NORM ? mean[i] : 0), inverse = v_set(inverse_deviation[i]);
        v_f32 slopes[4], products[4];  // two of each are used in turn: the loads are the bound
        EACH_OF_FOUR slopes[k] = products[k] = v_set(0);
        size_t j = 0;
        for (size_t turn = 0; j < columns; j += v_lanes, turn ^= 1) {
            const size_t lanes = csimd_minimum(v_lanes, columns - j);
            const v_f32 normal = v_mul(v_sub(load_lanes(type, g->x, start + j, lanes), c), inverse);
            const v_f32 d = load_lanes(type, dy, start + j, lanes);  // zero in lanes beyond the row: so are all products
            const v_f32 slope = g->weight == NULL ? d : v_mul(d, load_lanes(type, g->weight, j, lanes));
            if (turn == 0) {
                slopes[0] = v_add(slopes[0], slope);
                products[0] = v_fma(slope, normal, products[0]);
            } else {
                slopes[1] = v_add(slopes[1], slope);
                products[1] = v_fma(slope, normal, products[1]);
            }
            if (weight_sums != NULL) add_lanes(weight_sums, j, lanes, v_mul(d, normal));
            if (bias_sums != NULL) add_lanes(bias_sums, j, lanes, d);
        }
        if (dx == NULL) continue;
        const double slope_mean = g->kind == CSIMD_LAYER_NORM ? sum_of(slopes) / (double)columns : 0;
        const v_f32 a = v_set((float)slope_mean), b = v_set((float)(sum_of(products) / (double)columns));
        for (j = 0; j < columns; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, columns - j);
            const v_f32 normal = v_mul(v_sub(load_lanes(type, g->x, start + j, lanes), c), inverse);
            v_f32 slope = load_lanes(type, dy, start + j, lanes);
            if (g->weight != NULL) slope = v_mul(slope, load_lanes(type, g->weight, j, lanes));
            store_lanes(type, dx, start + j, lanes, v_mul(inverse, v_fnma(normal, b, v_sub(slope, a))));
        }
    }
}

// Float64 is served by the reference row; each other type is a specialisation of the bodies above.
static void forward(const csimd_row_norm_args *g, void *y, void *mean, void *inverse_deviation) {
    switch (g->type) {
    case CSIMD_F32:
        forward_rows(CSIMD_F32, g, y, mean, inverse_deviation);
        return;
    case CSIMD_F16:
        forward_rows(CSIMD_F16, g, y, mean, inverse_deviation);
        return;
    case CSIMD_BF16:
        forward_rows(CSIMD_BF16, g, y, mean, inverse_deviation);
        return;
    case CSIMD_F64:
        csimd_norm_kernels_ref.forward(g, y, mean, inverse_deviation);
        return;
    }
}

static void backward(const csimd_row_norm_args *g, const void *mean, const void *inverse_deviation, const void *dy, void *dx,
                     void *weight_sums, void *bias_sums) {
    switch (g->type) {
    case CSIMD_F32:
        backward_rows(CSIMD_F32, g, mean, inverse_deviation, dy, dx, weight_sums, bias_sums);
        return;
    case CSIMD_F16:
        backward_rows(CSIMD_F16, g, mean, inverse_deviation, dy, dx, weight_sums, bias_sums);
        return;
    case CSIMD_BF16:
        backward_rows(CSIMD_BF16, g, mean, inverse_deviation, dy, dx, weight_sums, bias_sums);
        return;
    case CSIMD_F64:
        csimd_norm_kernels_ref.backward(g, mean, inverse_deviation, dy, dx, weight_sums, bias_sums);
        return;
    }
}
