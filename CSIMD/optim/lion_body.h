// Lion over the vocabulary of optim_body.h: no root and no division, so bound by memory, 18 bytes an element with a shadow.

typedef struct {
    v_f32 learning_rate, decay, shrinkage, beta1, share1, beta2, share2;
} lion_vectors;

V_INLINE v_f32 lion_lanes(csimd_type type, run_end end, csimd_optimizer_args run, run_state state, gradient_transform transform,
                          lion_vectors k, size_t i, size_t lanes, size_t *lost) {
    const v_f32 old = load_lanes(type, run.parameter, i, lanes), p = v_mul(old, k.decay);
    const v_f32 g = load_gradient(run, transform, i, lanes), m = load_lanes(CSIMD_F32, state.first, i, lanes);
    const v_f32 mean = v_fma(k.beta1, m, v_mul(k.share1, g));
    store_lanes(CSIMD_F32, state.first, i, lanes, v_fma(k.beta2, m, v_mul(k.share2, g)));
    const v_f32 one = v_or(v_and(mean, v_set(-0.0f)), v_set(1));  // with the sign of the mean
    const v_mask has_sign = v_less(v_set(0), v_abs(mean));        // neither 0 nor NaN
    const v_f32 sign = v_select(has_sign, one, mean);
    const v_f32 change = v_negate(v_fma(k.shrinkage, old, v_mul(k.learning_rate, sign)));
    return store_parameter(type, end, run, i, lanes, old, v_fnma(k.learning_rate, sign, p), change, lost);
}

V_INLINE size_t lion_run(csimd_type type, csimd_type shadow, run_end end, const csimd_optimizer_args *args, run_state state,
                         const void *all_coefficients) {
    const csimd_lion_coefficients *coefficients = &((const csimd_optim_coefficients *)all_coefficients)->lion;
    const csimd_optimizer_args run = *args;
    const gradient_transform transform = transform_of(run);
    const lion_vectors k = {
        .learning_rate = v_set((float)coefficients->learning_rate),
        .decay = v_set((float)coefficients->decay),
        .shrinkage = v_set((float)coefficients->shrinkage),
        .beta1 = v_set((float)coefficients->beta1),
        .share1 = v_set((float)coefficients->gradient_share_of_step),
        .beta2 = v_set((float)coefficients->beta2),
        .share2 = v_set((float)coefficients->gradient_share_of_moment),
    };
    size_t i = 0, lost = 0;
    for (; i + 2 * v_lanes <= run.count; i += 2 * v_lanes) {
        v_f32 low = lion_lanes(type, end, run, state, transform, k, i, v_lanes, &lost);
        v_f32 high = lion_lanes(type, end, run, state, transform, k, i + v_lanes, v_lanes, &lost);
        if (shadow != CSIMD_F32) store_shadow(shadow, run.shadow, i, low, high, state.stream_shadow);
    }
    for (; i < run.count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, run.count - i);
        v_f32 p = lion_lanes(type, end, run, state, transform, k, i, lanes, &lost);
        if (shadow != CSIMD_F32) store_lanes(shadow, run.shadow, i, lanes, p);
    }
    return lost;
}

static __attribute__((noinline)) size_t lion_otherwise(const csimd_optimizer_args *run, run_state state, const void *k) {
    return run_otherwise(lion_run, run, state, k);
}

static size_t lion(const csimd_optimizer_args *run, csimd_optim_state arrays, const csimd_optim_coefficients *k) {
    if (run->type == CSIMD_F64) return csimd_optim_kernels_ref.lion(run, arrays, k);
    const run_state state = floats(arrays);
    return is_to_nearest(run) ? run_in_any(lion_run, END_NEAREST, run, state, k) : lion_otherwise(run, state, k);
}
