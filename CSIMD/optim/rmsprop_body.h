// RMSprop over the vocabulary of optim_body.h: one square root and one division a vector, as Adam.

typedef struct {
    v_f32 learning_rate, weight_decay, alpha, share, epsilon, momentum;
    bool decays, is_centered, has_momentum, from_gradient;
} rmsprop_vectors;

V_INLINE v_f32 rmsprop_lanes(csimd_type type, run_end end, csimd_optimizer_args run, run_state state,
                             gradient_transform transform, rmsprop_vectors k, size_t i, size_t lanes, size_t *lost) {
    const v_f32 p = load_lanes(type, run.parameter, i, lanes);
    v_f32 g = load_gradient(run, transform, i, lanes);
    if (k.decays) g = v_fma(k.weight_decay, p, g);
    v_f32 v = v_fma(k.alpha, load_lanes(CSIMD_F32, state.first, i, lanes), v_mul(v_mul(k.share, g), g));
    store_lanes(CSIMD_F32, state.first, i, lanes, v);
    if (k.is_centered) {
        v_f32 m = load_lanes(CSIMD_F32, state.second, i, lanes), distance = v_sub(g, m);
        m = k.from_gradient ? v_fnma(k.alpha, distance, g) : v_fma(k.share, distance, m);
        store_lanes(CSIMD_F32, state.second, i, lanes, m);
        v = v_max(v_set(0), v_fnma(m, m, v));  // NaN stays: it is the second operand
    }
    v_f32 direction = v_div(g, v_add(v_sqrt(v), k.epsilon));
    if (k.has_momentum) {
        direction = v_fma(k.momentum, load_lanes(CSIMD_F32, state.third, i, lanes), direction);
        store_lanes(CSIMD_F32, state.third, i, lanes, direction);
    }
    const v_f32 change = v_negate(v_mul(k.learning_rate, direction));
    return store_parameter(type, end, run, i, lanes, p, v_fnma(k.learning_rate, direction, p), change, lost);
}

V_INLINE size_t rmsprop_run(csimd_type type, csimd_type shadow, run_end end, const csimd_optimizer_args *args, run_state state,
                            const void *all_coefficients) {
    const csimd_rmsprop_coefficients *coefficients = &((const csimd_optim_coefficients *)all_coefficients)->rmsprop;
    const csimd_optimizer_args run = *args;
    const gradient_transform transform = transform_of(run);
    const rmsprop_vectors k = {
        .learning_rate = v_set((float)coefficients->learning_rate),
        .weight_decay = v_set((float)coefficients->weight_decay),
        .alpha = v_set((float)coefficients->alpha),
        .share = v_set((float)coefficients->gradient_share),
        .epsilon = v_set((float)coefficients->epsilon),
        .momentum = v_set((float)coefficients->momentum),
        .decays = coefficients->weight_decay != 0,
        .is_centered = coefficients->is_centered,
        .has_momentum = coefficients->has_momentum,
        .from_gradient = coefficients->gradient_share >= 0.5,
    };
    size_t i = 0, lost = 0;
    for (; i + 2 * v_lanes <= run.count; i += 2 * v_lanes) {
        v_f32 low = rmsprop_lanes(type, end, run, state, transform, k, i, v_lanes, &lost);
        v_f32 high = rmsprop_lanes(type, end, run, state, transform, k, i + v_lanes, v_lanes, &lost);
        if (shadow != CSIMD_F32) store_shadow(shadow, run.shadow, i, low, high, state.stream_shadow);
    }
    for (; i < run.count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, run.count - i);
        v_f32 p = rmsprop_lanes(type, end, run, state, transform, k, i, lanes, &lost);
        if (shadow != CSIMD_F32) store_lanes(shadow, run.shadow, i, lanes, p);
    }
    return lost;
}

static __attribute__((noinline)) size_t rmsprop_otherwise(const csimd_optimizer_args *run, run_state state, const void *k) {
    return run_otherwise(rmsprop_run, run, state, k);
}

static size_t rmsprop(const csimd_optimizer_args *run, csimd_optim_state arrays, const csimd_optim_coefficients *k) {
    if (run->type == CSIMD_F64) return csimd_optim_kernels_ref.rmsprop(run, arrays, k);
    const run_state state = floats(arrays);
    return is_to_nearest(run) ? run_in_any(rmsprop_run, END_NEAREST, run, state, k) : rmsprop_otherwise(run, state, k);
}
