// Conversions between f32, f16 and bf16 through float32 lanes, over the vocabulary of support/vector_<isa>.h.
// A vector costs at most about ten instructions (bf16 rounding) against 4 to 8 bytes moved an element: bound by memory from L2
// outwards. Tails are masked or copied, so that nothing outside the arrays is touched.

// Only bf16 and float32 arrive with signalling NaN still signalling, and only a float32 store would let them through.
V_INLINE v_f32 converted(csimd_type from, csimd_type to, v_f32 x) {
    if (to != CSIMD_F32 || from == CSIMD_F16) return x;
    return v_select(v_nan(x), v_or(x, v_of_bits(v_set_i32(0x00400000))), x);
}

// Bytes; the CPU's own prefetching keeps fewer lines under way: with it 16 to 32 bit went from 66 to 90 GB/s.
enum { fetch_ahead = 8192 };

V_INLINE void convert_vectors(csimd_type from, const void *x, csimd_type to, void *y, size_t i, size_t end) {
    for (; i + 2 * v_lanes <= end; i += 2 * v_lanes)
        v_store_pair(to, y, i, converted(from, to, v_load(from, x, i)), converted(from, to, v_load(from, x, i + v_lanes)));
    if (i + v_lanes <= end) {
        v_store(to, y, i, converted(from, to, v_load(from, x, i)));
        i += v_lanes;
    }
    if (i < end) v_store_first(to, y, i, end - i, converted(from, to, v_load_first(from, x, i, end - i)));
}

V_INLINE void convert_pair(csimd_type from, const void *x, csimd_type to, void *y, size_t count, bool stream) {
    size_t i = 0;
    const size_t to_size = csimd_type_size(to), past = (uintptr_t)y % CSIMD_ALIGNMENT;
    if (stream && past % to_size == 0 && count >= CSIMD_ALIGNMENT) {
        if (past != 0) {  // up to the first cache line
            i = (CSIMD_ALIGNMENT - past) / to_size;
            convert_vectors(from, x, to, y, 0, i);
        }
        for (; i + 4 * v_lanes <= count; i += 4 * v_lanes) {
            for (size_t byte = 0; byte < 4 * v_lanes * csimd_type_size(from); byte += CSIMD_ALIGNMENT)
                __builtin_prefetch((const char *)x + i * csimd_type_size(from) + fetch_ahead + byte);
            for (size_t k = i; k < i + 4 * v_lanes; k += 2 * v_lanes)
                v_stream_pair(to, y, k, converted(from, to, v_load(from, x, k)),
                              converted(from, to, v_load(from, x, k + v_lanes)));
        }
        v_stream_end();
    }
    convert_vectors(from, x, to, y, i, count);
}

V_INLINE void convert_from(csimd_type from, const void *x, csimd_type to, void *y, size_t count, bool stream) {
    if (to == CSIMD_F32)
        convert_pair(from, x, CSIMD_F32, y, count, stream);
    else if (to == CSIMD_F16)
        convert_pair(from, x, CSIMD_F16, y, count, stream);
    else
        convert_pair(from, x, CSIMD_BF16, y, count, stream);
}

static void convert(csimd_type from, const void *x, csimd_type to, void *y, size_t count, bool stream) {
    if (from == CSIMD_F64 || to == CSIMD_F64)
        csimd_convert_kernels_ref.convert(from, x, to, y, count, stream);
    else if (from == CSIMD_F32)
        convert_from(CSIMD_F32, x, to, y, count, stream);
    else if (from == CSIMD_F16)
        convert_from(CSIMD_F16, x, to, y, count, stream);
    else
        convert_from(CSIMD_BF16, x, to, y, count, stream);
}

V_INLINE void normalize_to(csimd_type to, size_t count, const uint8_t *x, float scale, float shift, void *y) {
    const v_f32 factor = v_set(scale), addend = v_set(shift);
    size_t i = 0;
    for (; i + v_lanes <= count; i += v_lanes) v_store(to, y, i, v_fma(v_load_u8(x + i), factor, addend));
    if (i < count) v_store_first(to, y, i, count - i, v_fma(v_load_u8_first(x + i, count - i), factor, addend));
}

static void normalize_u8(size_t count, const uint8_t *x, float scale, float shift, csimd_type to, void *y) {
    if (to == CSIMD_F64)
        csimd_convert_kernels_ref.normalize_u8(count, x, scale, shift, to, y);
    else if (to == CSIMD_F32)
        normalize_to(CSIMD_F32, count, x, scale, shift, y);
    else if (to == CSIMD_F16)
        normalize_to(CSIMD_F16, count, x, scale, shift, y);
    else
        normalize_to(CSIMD_BF16, count, x, scale, shift, y);
}
