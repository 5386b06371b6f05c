// Sums of arrays over support/vector_<isa>.h, bound by the loads. Rows shorter than a few elements are added one at a time.

V_INLINE void sum_arrays_of(csimd_type type, csimd_type y_type, const csimd_sum *sum, size_t at, size_t count, void *y) {
    const size_t first = sum->accumulate ? 0 : 1;
    if (count < 4) {
        for (size_t j = 0; j < count; j++) {
            float total = sum->accumulate ? csimd_load_f32(y_type, y, j) : csimd_load_f32(type, sum->x[0], at + j);
            for (size_t t = first; t < sum->terms; t++) total += csimd_load_f32(type, sum->x[t], at + j);
            csimd_store_f32(y_type, y, j, total);
        }
        return;
    }
    size_t j = 0;
    for (; j + 2 * v_lanes <= count; j += 2 * v_lanes) {
        v_f32 low = sum->accumulate ? v_load(y_type, y, j) : v_load(type, sum->x[0], at + j);
        v_f32 high = sum->accumulate ? v_load(y_type, y, j + v_lanes) : v_load(type, sum->x[0], at + j + v_lanes);
        for (size_t t = first; t < sum->terms; t++) {
            low = v_add(low, v_load(type, sum->x[t], at + j));
            high = v_add(high, v_load(type, sum->x[t], at + j + v_lanes));
        }
        v_store_pair(y_type, y, j, low, high);
    }
    for (; j < count; j += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, count - j);
        v_f32 total = sum->accumulate ? load_lanes(y_type, y, j, lanes) : load_lanes(type, sum->x[0], at + j, lanes);
        for (size_t t = first; t < sum->terms; t++) total = v_add(total, load_lanes(type, sum->x[t], at + j, lanes));
        store_lanes(y_type, y, j, lanes, total);
    }
}

static void sum_arrays(const csimd_sum *sum, size_t at, size_t count, void *y) {
    if (sum->type == CSIMD_F64)
        csimd_elementwise_kernels_ref.sum_arrays(sum, at, count, y);
    else if (sum->type == CSIMD_F32)
        sum_arrays_of(CSIMD_F32, CSIMD_F32, sum, at, count, y);
    else if (sum->type == CSIMD_F16 && sum->y_type == CSIMD_F32)
        sum_arrays_of(CSIMD_F16, CSIMD_F32, sum, at, count, y);
    else if (sum->type == CSIMD_F16)
        sum_arrays_of(CSIMD_F16, CSIMD_F16, sum, at, count, y);
    else if (sum->y_type == CSIMD_F32)
        sum_arrays_of(CSIMD_BF16, CSIMD_F32, sum, at, count, y);
    else
        sum_arrays_of(CSIMD_BF16, CSIMD_BF16, sum, at, count, y);
}
