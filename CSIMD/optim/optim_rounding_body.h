// The end of every optimizer's update, over the vocabulary of vector_avx2.h or vector_avx512.h: the parameter is rounded and
// stored, lost updates are counted. The element-wise formulas stand in optim_rounding.h.

// How the updates of a run end, a constant in its loop. COUNTED: as run.rounding says, and lost updates are counted.
typedef enum { END_NEAREST, END_STOCHASTIC, END_KAHAN, END_COUNTED } run_end;

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t lanes) {
    return lanes == v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, lanes);
}

V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (lanes == v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, lanes, value);
}

// csimd_hash_of_counter, a counter a lane: 3 multiplications, 10 instructions of one cycle.
V_INLINE v_i32 hash_of_counters(uint64_t key, uint32_t counter) {
    v_i32 x = v_add_i32(v_lane_numbers(), v_set_i32((int32_t)(counter + (uint32_t)key)));
    x = v_mul_i32(v_xor_i32(x, v_shift_right_u32(x, csimd_hash_shift1)), v_set_i32((int32_t)CSIMD_HASH_FACTOR1));
    x = v_add_i32(v_xor_i32(x, v_shift_right_u32(x, csimd_hash_shift2)), v_set_i32((int32_t)csimd_hash_second_key(key)));
    x = v_mul_i32(x, v_set_i32((int32_t)CSIMD_HASH_FACTOR2));
    x = v_mul_i32(v_xor_i32(x, v_shift_right_u32(x, csimd_hash_shift3)), v_set_i32((int32_t)CSIMD_HASH_FACTOR3));
    return v_xor_i32(x, v_shift_right_u32(x, csimd_hash_shift4));
}

// csimd_round_stochastic.
V_INLINE v_f32 round_stochastic(csimd_type type, v_f32 x, v_i32 random) {
    const int dropped = type == CSIMD_BF16 ? 16 : 13;
    const v_i32 sum = v_add_i32(v_bits(x), v_shift_right_u32(random, 32 - dropped));
    v_f32 rounded = v_of_bits(v_and_i32(sum, v_set_i32((int32_t)(UINT32_MAX << dropped))));
    const v_mask subnormal = v_less(v_abs(x), v_set(0x1p-14f));
    if (type == CSIMD_F16 && v_lanes_of_mask(subnormal) != 0) {  // rare among weights
        const v_f32 units = v_mul(x, v_set(0x1p24f)), whole = v_truncate(units);
        const v_f32 fraction = v_abs(v_sub(units, whole));
        const v_f32 uniform = v_mul(v_to_f32(v_shift_right_u32(random, 8)), v_set(0x1p-24f));
        const v_f32 one = v_or(v_and(x, v_set(-0.0f)), v_set(1));  // with the sign of x
        const v_f32 step = v_select(v_less(uniform, fraction), one, v_set(0));
        rounded = v_select(subnormal, v_mul(v_add(whole, step), v_set(0x1p-24f)), rounded);
    }
    const v_mask beyond = v_either(v_less(v_set(csimd_largest(type)), v_abs(x)), v_nan(x));
    return v_select(beyond, x, rounded);
}

V_INLINE v_f32 round_nearest(csimd_type type, v_f32 x) {
    if (type == CSIMD_F32) return x;
    return type == CSIMD_F16 ? v_widen_f16(v_round_f16(x)) : v_widen_bf16(v_round_bf16(x));
}

// Stores what becomes of `old` and returns it in float32; adds the number of lost updates to *lost. `updated` is the new value
// in float32, `change` the update alone.
V_INLINE v_f32 store_parameter(csimd_type type, run_end end, csimd_optimizer_args run, size_t i, size_t lanes, v_f32 old,
                               v_f32 updated, v_f32 change, size_t *lost) {
    v_f32 carried = v_set(0), left = carried;  // Kahan's compensation before and after
    const bool told = end == END_COUNTED && type != CSIMD_F32;
    if (end == END_STOCHASTIC || (told && run.rounding == CSIMD_ROUND_STOCHASTIC)) {
        updated = round_stochastic(type, updated, hash_of_counters(run.random_key, (uint32_t)(run.first_index + i)));
    } else if (end == END_KAHAN || (told && run.rounding == CSIMD_ROUND_KAHAN)) {
        carried = load_lanes(CSIMD_F32, run.compensation, i, lanes);
        const v_f32 wanted = v_add(change, carried);
        updated = round_nearest(type, v_add(old, wanted));
        left = v_sub(wanted, v_sub(updated, old));
        store_lanes(CSIMD_F32, run.compensation, i, lanes, left);
    }
    store_lanes(type, run.parameter, i, lanes, updated);
    if (end == END_COUNTED) {
        const uint32_t moved = v_lanes_of_mask(v_less(v_set(0), v_abs(change)));
        const uint32_t same =
            v_lanes_of_mask(v_equal(round_nearest(type, updated), old)) & v_lanes_of_mask(v_equal(carried, left));
        *lost += (size_t)__builtin_popcount(moved & same & ((1u << lanes) - 1u));
    }
    return updated;
}
