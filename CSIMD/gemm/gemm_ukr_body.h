// The micro-kernel, included by each instruction set's file after its vector operations and tile sizes. Each height and
// width is compiled for itself, so that the sums stay in registers; every element is summed from 0 in order of p whatever
// tile it falls in, hence the same bits for any split of C.

V_INLINE void tile(const int rows, const int vectors, const bool a_in_panels, size_t columns, size_t depth, const float *a,
                   const float *b, bool add, float *c, size_t ldc) {
    v_f32 sum[NARROW_TILE_ROWS][2];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            sum[i][v] = v_set(0);
            __builtin_prefetch(c + (size_t)i * ldc + v * v_lanes, 1);
        }
    }
#pragma clang loop unroll_count(4)
    for (size_t p = 0; p < depth; p++) {
        v_f32 right[2];
#pragma clang loop unroll(full)
        for (int v = 0; v < vectors; v++) right[v] = load_floats(b + v * v_lanes);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const v_f32 left = v_set(a[a_in_panels ? i : i * A_ROW_STRIDE]);
            for (int v = 0; v < vectors; v++) sum[i][v] = multiply_add(left, right[v], sum[i][v]);
        }
        a += a_in_panels ? v_lanes : 1;
        b += vectors * v_lanes;
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        for (int v = 0; v < vectors; v++) {
            const size_t offset = (size_t)i * ldc + (size_t)v * v_lanes;
            const size_t count = v < vectors - 1 ? v_lanes : columns - (size_t)v * v_lanes;
            v_f32 z = sum[i][v];
            if (add) z = v_add(load_some(CSIMD_F32, c, offset, count), z);
            store_some(CSIMD_F32, c, offset, count, z);
        }
    }
}
