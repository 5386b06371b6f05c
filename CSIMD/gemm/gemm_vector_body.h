// Loads and stores that the GEMM bodies share, over the vocabulary of support/vector_<isa>.h.

V_INLINE v_f32 load_floats(const float *x) { return v_load(CSIMD_F32, x, 0); }
V_INLINE void store_floats(float *y, v_f32 value) { v_store(CSIMD_F32, y, 0, value); }

// The next `count` elements, any number: at most a vector of them; lanes past the count read as 0 and are not written.
V_INLINE v_f32 load_some(csimd_type type, const void *x, size_t index, size_t count) {
    return count >= v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, count);
}
V_INLINE void store_some(csimd_type type, void *y, size_t index, size_t count, v_f32 value) {
    if (count >= v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, count, value);
}
