// Batch normalisation over the vector vocabulary: lanes are channels, four rows are added side by side, so that the latency of
// an addition is hidden. A chunk is read twice for its moments, the second time from L1 or L2. Bound by memory.

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t count) {
    return count >= v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, count);
}
V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t count, v_f32 value) {
    if (count >= v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, count, value);
}
V_INLINE v_f32 sum_of_4(const v_f32 x[4]) { return v_add(v_add(x[0], x[1]), v_add(x[2], x[3])); }

// What the mean is measured from: the middle one of three rows, so that an outlier is not taken.
V_INLINE v_f32 origin_of(csimd_type type, size_t rows, size_t channels, const void *x, size_t c, size_t count) {
    const v_f32 first = load_lanes(type, x, c, count), middle = load_lanes(type, x, rows / 2 * channels + c, count);
    const v_f32 last = load_lanes(type, x, (rows - 1) * channels + c, count);
    return v_max(v_min(first, middle), v_min(v_max(first, middle), last));
}

// The product with 1 adds in the unit of fused multiply-adds, beside the subtraction.
V_INLINE void moments_of(csimd_type type, size_t rows, size_t channels, const void *x, float *center, float *rest,
                         float *squares) {
    const v_f32 one = v_set(1);
    for (size_t c = 0; c < channels; c += v_lanes) {
        const size_t count = channels - c;
        const v_f32 origin = origin_of(type, rows, channels, x, c, count);
        v_f32 sum[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
        size_t i = 0;
        for (; i + 4 <= rows; i += 4)
            for (size_t s = 0; s < 4; s++)
                sum[s] = v_fma(v_sub(load_lanes(type, x, (i + s) * channels + c, count), origin), one, sum[s]);
        for (; i < rows; i++) sum[0] = v_add(sum[0], v_sub(load_lanes(type, x, i * channels + c, count), origin));
        const v_f32 distance = v_div(sum_of_4(sum), v_set((float)rows)), middle = v_add(origin, distance);
        // What the addition rounded away, exactly (Knuth's two-sum).
        const v_f32 part = v_sub(middle, origin);
        const v_f32 lost = v_add(v_sub(origin, v_sub(middle, part)), v_sub(distance, part));
        for (size_t s = 0; s < 4; s++) sum[s] = v_set(0);
        for (i = 0; i + 4 <= rows; i += 4)
            for (size_t s = 0; s < 4; s++) {
                const v_f32 d = v_sub(load_lanes(type, x, (i + s) * channels + c, count), middle);
                sum[s] = v_fma(d, d, sum[s]);
            }
        for (; i < rows; i++) {
            const v_f32 d = v_sub(load_lanes(type, x, i * channels + c, count), middle);
            sum[0] = v_fma(d, d, sum[0]);
        }
        store_lanes(CSIMD_F32, center, c, count, middle);
        store_lanes(CSIMD_F32, rest, c, count, lost);
        store_lanes(CSIMD_F32, squares, c, count, sum_of_4(sum));
    }
}

V_INLINE void apply_of(csimd_type type, size_t rows, size_t channels, const void *x, const float *mean, const float *scale,
                       const float *shift, bool relu, void *y) {
    for (size_t c = 0; c < channels; c += v_lanes) {
        const size_t count = channels - c;
        const v_f32 middle = load_lanes(CSIMD_F32, mean, c, count), factor = load_lanes(CSIMD_F32, scale, c, count);
        const v_f32 offset = load_lanes(CSIMD_F32, shift, c, count);
        for (size_t i = 0; i < rows; i++) {
            const size_t at = i * channels + c;
            v_f32 z = v_fma(v_sub(load_lanes(type, x, at, count), middle), factor, offset);
            if (relu) z = v_max(v_set(0), z);
            store_lanes(type, y, at, count, z);
        }
    }
}

V_INLINE void products_of(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const float *mean,
                          float *sum, float *product) {
    for (size_t c = 0; c < channels; c += v_lanes) {
        const size_t count = channels - c;
        const v_f32 middle = load_lanes(CSIMD_F32, mean, c, count);
        v_f32 total[4], moment[4];
        for (size_t s = 0; s < 4; s++) total[s] = moment[s] = v_set(0);
        for (size_t i = 0; i < rows; i += 4)
            for (size_t s = 0; s < 4 && i + s < rows; s++) {
                const size_t at = (i + s) * channels + c;
                const v_f32 gradient = load_lanes(type, dy, at, count);
                total[s] = v_add(total[s], gradient);
                moment[s] = v_fma(gradient, v_sub(load_lanes(type, x, at, count), middle), moment[s]);
            }
        store_lanes(CSIMD_F32, sum, c, count, sum_of_4(total));
        store_lanes(CSIMD_F32, product, c, count, sum_of_4(moment));
    }
}

V_INLINE void gradient_of(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const float *mean,
                          const float *a, const float *b, const float *k, void *dx) {
    for (size_t c = 0; c < channels; c += v_lanes) {
        const size_t count = channels - c;
        const v_f32 middle = load_lanes(CSIMD_F32, mean, c, count), of_dy = load_lanes(CSIMD_F32, a, c, count);
        const v_f32 of_x = load_lanes(CSIMD_F32, b, c, count), constant = load_lanes(CSIMD_F32, k, c, count);
        for (size_t i = 0; i < rows; i++) {
            const size_t at = i * channels + c;
            const v_f32 d = v_sub(load_lanes(type, x, at, count), middle);
            store_lanes(type, dx, at, count, v_fma(of_dy, load_lanes(type, dy, at, count), v_fma(of_x, d, constant)));
        }
    }
}

static void moments(csimd_type type, size_t rows, size_t channels, const void *x, void *center, void *rest, void *squares) {
    if (type == CSIMD_F32) moments_of(CSIMD_F32, rows, channels, x, center, rest, squares);
    if (type == CSIMD_F16) moments_of(CSIMD_F16, rows, channels, x, center, rest, squares);
    if (type == CSIMD_BF16) moments_of(CSIMD_BF16, rows, channels, x, center, rest, squares);
}

static void apply(csimd_type type, size_t rows, size_t channels, const void *x, const void *mean, const void *scale,
                  const void *shift, bool relu, void *y) {
    if (type == CSIMD_F32) apply_of(CSIMD_F32, rows, channels, x, mean, scale, shift, relu, y);
    if (type == CSIMD_F16) apply_of(CSIMD_F16, rows, channels, x, mean, scale, shift, relu, y);
    if (type == CSIMD_BF16) apply_of(CSIMD_BF16, rows, channels, x, mean, scale, shift, relu, y);
}

static void products(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const void *mean, void *sum,
                     void *product) {
    if (type == CSIMD_F32) products_of(CSIMD_F32, rows, channels, x, dy, mean, sum, product);
    if (type == CSIMD_F16) products_of(CSIMD_F16, rows, channels, x, dy, mean, sum, product);
    if (type == CSIMD_BF16) products_of(CSIMD_BF16, rows, channels, x, dy, mean, sum, product);
}

static void gradient(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const void *mean,
                     const void *a, const void *b, const void *k, void *dx) {
    if (type == CSIMD_F32) gradient_of(CSIMD_F32, rows, channels, x, dy, mean, a, b, k, dx);
    if (type == CSIMD_F16) gradient_of(CSIMD_F16, rows, channels, x, dy, mean, a, b, k, dx);
    if (type == CSIMD_BF16) gradient_of(CSIMD_BF16, rows, channels, x, dy, mean, a, b, k, dx);
}
