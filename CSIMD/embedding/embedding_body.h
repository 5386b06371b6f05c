// Adding rows and rotating pairs over the vocabulary of vector_avx2.h or vector_avx512.h.

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t lanes) {
    return lanes == v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, lanes);
}

V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (lanes == v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, lanes, value);
}

V_INLINE void add_of(csimd_type type, size_t count, const void *x, float *sum) {
    for (size_t j = 0; j < count; j += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, count - j);
        store_lanes(CSIMD_F32, sum, j, lanes, v_add(load_lanes(CSIMD_F32, sum, j, lanes), load_lanes(type, x, j, lanes)));
    }
}

V_INLINE void rotate_of(csimd_type type, size_t heads, size_t head_size, const void *x, const float *cosine, const float *sine,
                        float sign, void *y) {
    const size_t half = head_size / 2;
    const v_f32 direction = v_set(sign);
    for (size_t h = 0; h < heads; h++) {
        for (size_t j = 0; j < half; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, half - j), at = h * head_size + j;
            const v_f32 c = load_lanes(CSIMD_F32, cosine, j, lanes);
            const v_f32 s = v_mul(direction, load_lanes(CSIMD_F32, sine, j, lanes));
            const v_f32 a = load_lanes(type, x, at, lanes), b = load_lanes(type, x, at + half, lanes);
            store_lanes(type, y, at, lanes, v_fms(a, c, v_mul(b, s)));
            store_lanes(type, y, at + half, lanes, v_fma(b, c, v_mul(a, s)));
        }
    }
}

static void add(csimd_type type, size_t count, const void *x, void *sum) {
    switch (type) {
    case CSIMD_F32:
        add_of(CSIMD_F32, count, x, sum);
        return;
    case CSIMD_F16:
        add_of(CSIMD_F16, count, x, sum);
        return;
    case CSIMD_BF16:
        add_of(CSIMD_BF16, count, x, sum);
        return;
    case CSIMD_F64:
        csimd_embedding_kernels_ref.add(type, count, x, sum);
        return;
    }
}

static void rotate(csimd_type type, size_t heads, size_t head_size, const void *x, const void *cosine, const void *sine,
                   float sign, void *y) {
    switch (type) {
    case CSIMD_F32:
        rotate_of(CSIMD_F32, heads, head_size, x, cosine, sine, sign, y);
        return;
    case CSIMD_F16:
        rotate_of(CSIMD_F16, heads, head_size, x, cosine, sine, sign, y);
        return;
    case CSIMD_BF16:
        rotate_of(CSIMD_BF16, heads, head_size, x, cosine, sine, sign, y);
        return;
    case CSIMD_F64:
        csimd_embedding_kernels_ref.rotate(type, heads, head_size, x, cosine, sine, sign, y);
        return;
    }
}
