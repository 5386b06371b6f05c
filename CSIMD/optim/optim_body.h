// SGD and Adam over the vocabulary of vector_avx2.h or vector_avx512.h: every array is read once and written once. Whole
// vectors and the last partial one go through the same instructions, so an element's bits do not depend on its position.
// Products are fused into sums where PyTorch rounds twice: nearer to the exact value, within an ulp of PyTorch's.

#include "optim_rounding_body.h"

// What the gradient becomes before the optimizer's formula. v_min and v_max return their second operand where either is NaN.
typedef struct {
    v_f32 scale, clip_coefficient, clip_value, sign;  // sign: -0 to negate, +0 to keep
    bool by_value;
} gradient_transform;

V_INLINE gradient_transform transform_of(csimd_optimizer_args run) {
    return (gradient_transform){
        .scale = v_set((float)run.gradient_scale),
        .clip_coefficient = v_set((float)run.clip_coefficient),
        .clip_value = v_set((float)run.clip_value),
        .sign = v_set(run.maximize ? -0.0f : 0.0f),
        .by_value = run.clip_value > 0,
    };
}

V_INLINE v_f32 load_gradient(csimd_optimizer_args run, gradient_transform t, size_t i, size_t lanes) {
    v_f32 g = v_mul(load_lanes(CSIMD_F32, run.gradient, i, lanes), t.scale);
    if (t.by_value)
        g = v_max(v_negate(t.clip_value), v_min(t.clip_value, g));
    else
        g = v_mul(g, t.clip_coefficient);
    return v_xor(g, t.sign);
}

// An optimizer's state, as many arrays as it has.
typedef struct {
    float *first, *second, *third;
    bool stream_shadow;
} run_state;

V_INLINE run_state floats(csimd_optim_state state) {
    return (run_state){state.first, state.second, state.third, state.stream_shadow};
}

V_INLINE void store_shadow(csimd_type type, void *shadow, size_t i, v_f32 low, v_f32 high, bool stream) {
    if (stream)
        v_stream_pair(type, shadow, i, low, high);
    else
        v_store_pair(type, shadow, i, low, high);
}

// The coefficients as vectors. Steps take their structs by value: the loops then keep them and the pointers in registers. A
// step stores the parameter and returns it for the shadow; it adds the updates that it lost to *lost.
typedef struct {
    v_f32 learning_rate, weight_decay, momentum, undamped;
    bool decays, has_momentum, nesterov, first_step;
} sgd_vectors;

V_INLINE v_f32 sgd_lanes(csimd_type type, run_end end, csimd_optimizer_args run, run_state state, gradient_transform transform,
                         sgd_vectors k, size_t i, size_t lanes, size_t *lost) {
    v_f32 p = load_lanes(type, run.parameter, i, lanes), g = load_gradient(run, transform, i, lanes);
    if (k.decays) g = v_fma(k.weight_decay, p, g);
    if (k.has_momentum) {
        v_f32 b = k.first_step ? g : v_fma(k.momentum, load_lanes(CSIMD_F32, state.first, i, lanes), v_mul(k.undamped, g));
        store_lanes(CSIMD_F32, state.first, i, lanes, b);
        g = k.nesterov ? v_fma(k.momentum, b, g) : b;
    }
    const v_f32 change = v_negate(v_mul(k.learning_rate, g));
    return store_parameter(type, end, run, i, lanes, p, v_fnma(k.learning_rate, g, p), change, lost);
}

// `shadow` is CSIMD_F32 where there is none: a compile-time constant, as `type` and `end` are.
V_INLINE size_t sgd_run(csimd_type type, csimd_type shadow, run_end end, const csimd_optimizer_args *args, run_state state,
                        const void *sgd_coefficients) {
    const csimd_sgd_coefficients *coefficients = sgd_coefficients;
    const csimd_optimizer_args run = *args;
    const gradient_transform transform = transform_of(run);
    const sgd_vectors k = {
        .learning_rate = v_set((float)coefficients->learning_rate),
        .weight_decay = v_set((float)coefficients->weight_decay),
        .momentum = v_set((float)coefficients->momentum),
        .undamped = v_set((float)coefficients->undamped),
        .decays = coefficients->weight_decay != 0,
        .has_momentum = coefficients->has_momentum,
        .nesterov = coefficients->nesterov,
        .first_step = coefficients->first_step,
    };
    size_t i = 0, lost = 0;
    for (; i + 2 * v_lanes <= run.count; i += 2 * v_lanes) {
        v_f32 low = sgd_lanes(type, end, run, state, transform, k, i, v_lanes, &lost);
        v_f32 high = sgd_lanes(type, end, run, state, transform, k, i + v_lanes, v_lanes, &lost);
        if (shadow != CSIMD_F32) store_shadow(shadow, run.shadow, i, low, high, state.stream_shadow);
    }
    for (; i < run.count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, run.count - i);
        v_f32 p = sgd_lanes(type, end, run, state, transform, k, i, lanes, &lost);
        if (shadow != CSIMD_F32) store_lanes(shadow, run.shadow, i, lanes, p);
    }
    return lost;
}

typedef struct {
    v_f32 decay, shrinkage, weight_decay, beta1, share1, beta2, share2, step_size, epsilon, correction;
    bool decays, from_gradient;
} adam_vectors;

V_INLINE v_f32 adam_lanes(csimd_type type, run_end end, csimd_optimizer_args run, run_state state, gradient_transform transform,
                          adam_vectors k, size_t i, size_t lanes, size_t *lost) {
    float *const first = state.first, *const second = state.second, *const largest = state.third;
    const v_f32 old = load_lanes(type, run.parameter, i, lanes), p = v_mul(old, k.decay);
    v_f32 g = load_gradient(run, transform, i, lanes);
    if (k.decays) g = v_fma(k.weight_decay, p, g);
    v_f32 m = load_lanes(CSIMD_F32, first, i, lanes), distance = v_sub(g, m);
    m = k.from_gradient ? v_fnma(k.beta1, distance, g) : v_fma(k.share1, distance, m);
    v_f32 v = v_fma(k.beta2, load_lanes(CSIMD_F32, second, i, lanes), v_mul(v_mul(k.share2, g), g));
    store_lanes(CSIMD_F32, first, i, lanes, m);
    store_lanes(CSIMD_F32, second, i, lanes, v);
    if (largest != NULL) {
        v = v_max(load_lanes(CSIMD_F32, largest, i, lanes), v);
        store_lanes(CSIMD_F32, largest, i, lanes, v);
    }
    v_f32 denominator = v_fma(v_sqrt(v), k.correction, k.epsilon);
    const v_f32 step = v_div(v_mul(k.step_size, m), denominator);
    return store_parameter(type, end, run, i, lanes, old, v_sub(p, step), v_negate(v_fma(k.shrinkage, old, step)), lost);
}

V_INLINE size_t adam_run(csimd_type type, csimd_type shadow, run_end end, const csimd_optimizer_args *args, run_state state,
                         const void *adam_coefficients) {
    const csimd_adam_coefficients *coefficients = adam_coefficients;
    const csimd_optimizer_args run = *args;
    const gradient_transform transform = transform_of(run);
    const adam_vectors k = {
        .decay = v_set((float)coefficients->decay),
        .shrinkage = v_set((float)coefficients->shrinkage),
        .weight_decay = v_set((float)coefficients->weight_decay),
        .beta1 = v_set((float)coefficients->beta1),
        .share1 = v_set((float)coefficients->gradient_share_of_first),
        .beta2 = v_set((float)coefficients->beta2),
        .share2 = v_set((float)coefficients->gradient_share_of_second),
        .step_size = v_set((float)coefficients->step_size),
        .epsilon = v_set((float)coefficients->epsilon),
        .correction = v_set((float)(1 / coefficients->second_correction)),
        .decays = coefficients->weight_decay != 0,
        .from_gradient = coefficients->gradient_share_of_first >= 0.5,
    };
    size_t i = 0, lost = 0;
    for (; i + 2 * v_lanes <= run.count; i += 2 * v_lanes) {
        v_f32 low = adam_lanes(type, end, run, state, transform, k, i, v_lanes, &lost);
        v_f32 high = adam_lanes(type, end, run, state, transform, k, i + v_lanes, v_lanes, &lost);
        if (shadow != CSIMD_F32) store_shadow(shadow, run.shadow, i, low, high, state.stream_shadow);
    }
    for (; i < run.count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, run.count - i);
        v_f32 p = adam_lanes(type, end, run, state, transform, k, i, lanes, &lost);
        if (shadow != CSIMD_F32) store_lanes(shadow, run.shadow, i, lanes, p);
    }
    return lost;
}

// An optimizer's loop over a run: type, shadow and end are constants in it, because it is inlined into each of the calls below.
typedef size_t (*run_loop)(csimd_type type, csimd_type shadow, run_end end, const csimd_optimizer_args *run, run_state state,
                           const void *coefficients);

V_INLINE size_t run_in_16(run_loop loop, run_end end, const csimd_optimizer_args *run, run_state state, const void *k) {
    return run->type == CSIMD_F16 ? loop(CSIMD_F16, CSIMD_F32, end, run, state, k)
                                  : loop(CSIMD_BF16, CSIMD_F32, end, run, state, k);
}

V_INLINE size_t run_in_any(run_loop loop, run_end end, const csimd_optimizer_args *run, run_state state, const void *k) {
    if (run->type != CSIMD_F32) return run_in_16(loop, end, run, state, k);
    if (run->shadow == NULL) return loop(CSIMD_F32, CSIMD_F32, end, run, state, k);
    const size_t lost = run->shadow_type == CSIMD_F16 ? loop(CSIMD_F32, CSIMD_F16, end, run, state, k)
                                                      : loop(CSIMD_F32, CSIMD_BF16, end, run, state, k);
    if (state.stream_shadow) v_stream_end();
    return lost;
}

// An optimizer that rounds to nearest without counting calls run_in_any with END_NEAREST; for all else it has a function of its
// own that is not inlined, so that the usual loops pay nothing for the others, registers included.
V_INLINE bool is_to_nearest(const csimd_optimizer_args *run) {
    return run->rounding == CSIMD_ROUND_NEAREST && run->updates_lost == NULL;
}

V_INLINE size_t run_otherwise(run_loop loop, const csimd_optimizer_args *run, run_state state, const void *k) {
    if (run->updates_lost != NULL) return run_in_any(loop, END_COUNTED, run, state, k);
    if (run->rounding == CSIMD_ROUND_STOCHASTIC) return run_in_16(loop, END_STOCHASTIC, run, state, k);
    return run_in_16(loop, END_KAHAN, run, state, k);
}

static __attribute__((noinline)) size_t sgd_otherwise(const csimd_optimizer_args *run, run_state state, const void *k) {
    return run_otherwise(sgd_run, run, state, k);
}

static size_t sgd(const csimd_optimizer_args *run, csimd_optim_state arrays, const csimd_optim_coefficients *k) {
    if (run->type == CSIMD_F64) return csimd_optim_kernels_ref.sgd(run, arrays, k);
    const run_state state = floats(arrays);
    return is_to_nearest(run) ? run_in_any(sgd_run, END_NEAREST, run, state, k) : sgd_otherwise(run, state, k);
}

static __attribute__((noinline)) size_t adam_otherwise(const csimd_optimizer_args *run, run_state state, const void *k) {
    return run_otherwise(adam_run, run, state, k);
}

static size_t adam(const csimd_optimizer_args *run, csimd_optim_state arrays, const csimd_optim_coefficients *k) {
    if (run->type == CSIMD_F64) return csimd_optim_kernels_ref.adam(run, arrays, k);
    const run_state state = floats(arrays);
    return is_to_nearest(run) ? run_in_any(adam_run, END_NEAREST, run, state, k) : adam_otherwise(run, state, k);
}
