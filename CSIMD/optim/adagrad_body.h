// Adagrad over the vocabulary of optim_body.h: one square root and one division a vector, as Adam.

typedef struct {
    v_f32 step_size, weight_decay, epsilon;
    bool decays;
} adagrad_vectors;

V_INLINE v_f32 adagrad_lanes(csimd_type type, run_end end, csimd_optimizer_args run, run_state state,
                             gradient_transform transform, adagrad_vectors k, size_t i, size_t lanes, size_t *lost) {
    const v_f32 p = load_lanes(type, run.parameter, i, lanes);
    v_f32 g = load_gradient(run, transform, i, lanes);
    if (k.decays) g = v_fma(k.weight_decay, p, g);
    const v_f32 sum = v_fma(g, g, load_lanes(CSIMD_F32, state.first, i, lanes));
    store_lanes(CSIMD_F32, state.first, i, lanes, sum);
    const v_f32 step = v_div(v_mul(k.step_size, g), v_add(v_sqrt(sum), k.epsilon));
    return store_parameter(type, end, run, i, lanes, p, v_sub(p, step), v_negate(step), lost);
}

V_INLINE size_t adagrad_run(csimd_type type, csimd_type shadow, run_end end, const csimd_optimizer_args *args, run_state state,
                            const void *all_coefficients) {
    const csimd_adagrad_coefficients *coefficients = &((const csimd_optim_coefficients *)all_coefficients)->adagrad;
    const csimd_optimizer_args run = *args;
    const gradient_transform transform = transform_of(run);
    const adagrad_vectors k = {
        .step_size = v_set((float)coefficients->step_size),
        .weight_decay = v_set((float)coefficients->weight_decay),
        .epsilon = v_set((float)coefficients->epsilon),
        .decays = coefficients->weight_decay != 0,
    };
    size_t i = 0, lost = 0;
    for (; i + 2 * v_lanes <= run.count; i += 2 * v_lanes) {
        v_f32 low = adagrad_lanes(type, end, run, state, transform, k, i, v_lanes, &lost);
        v_f32 high = adagrad_lanes(type, end, run, state, transform, k, i + v_lanes, v_lanes, &lost);
        if (shadow != CSIMD_F32) store_shadow(shadow, run.shadow, i, low, high, state.stream_shadow);
    }
    for (; i < run.count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, run.count - i);
        v_f32 p = adagrad_lanes(type, end, run, state, transform, k, i, lanes, &lost);
        if (shadow != CSIMD_F32) store_lanes(shadow, run.shadow, i, lanes, p);
    }
    return lost;
}

static __attribute__((noinline)) size_t adagrad_otherwise(const csimd_optimizer_args *run, run_state state, const void *k) {
    return run_otherwise(adagrad_run, run, state, k);
}

static size_t adagrad(const csimd_optimizer_args *run, csimd_optim_state arrays, const csimd_optim_coefficients *k) {
    if (run->type == CSIMD_F64) return csimd_optim_kernels_ref.adagrad(run, arrays, k);
    const run_state state = floats(arrays);
    return is_to_nearest(run) ? run_in_any(adagrad_run, END_NEAREST, run, state, k) : adagrad_otherwise(run, state, k);
}
