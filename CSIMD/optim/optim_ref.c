// The reference row: each element by PyTorch's formula, in float32 (float64 for f64, which only this row serves). Coefficients
// are rounded to float32 where they meet float32 values, as PyTorch rounds its scalars. Products are fused into sums as in the
// vector rows (fmaf rounds once, with or without an instruction for it), so that all rows give the same bits.
#include "optim.h"

// What the gradient becomes before the optimizer's formula. Comparisons, not fmin: a NaN stays.
static float gradient_f32(const csimd_optimizer_args *run, size_t i) {
    float g = ((const float *)run->gradient)[i] * (float)run->gradient_scale;
    if (run->clip_value > 0) {
        const float limit = (float)run->clip_value;
        g = g > limit ? limit : g < -limit ? -limit : g;
    } else {
        g *= (float)run->clip_coefficient;
    }
    return run->maximize ? -g : g;
}

static double gradient_f64(const csimd_optimizer_args *run, size_t i) {
    double g = ((const double *)run->gradient)[i] * run->gradient_scale;
    if (run->clip_value > 0)
        g = g > run->clip_value ? run->clip_value : g < -run->clip_value ? -run->clip_value : g;
    else
        g *= run->clip_coefficient;
    return run->maximize ? -g : g;
}

// Stores what becomes of `old` and returns whether the update was lost: `updated` is the new value in float32, `change` the
// update alone.
static bool store_parameter(const csimd_optimizer_args *run, size_t i, float old, float updated, float change) {
    float carried = 0, left = 0;  // Kahan's compensation before and after
    if (run->rounding == CSIMD_ROUND_STOCHASTIC) {
        const uint32_t random = csimd_hash_of_counter(run->random_key, (uint32_t)(run->first_index + i));
        updated = csimd_round_stochastic(run->type, updated, random);
    } else if (run->rounding == CSIMD_ROUND_KAHAN) {
        carried = run->compensation[i];
        const float wanted = change + carried;
        csimd_store_f32(run->type, run->parameter, i, old + wanted);
        updated = csimd_load_f32(run->type, run->parameter, i);
        left = run->compensation[i] = wanted - (updated - old);
    }
    csimd_store_f32(run->type, run->parameter, i, updated);
    if (run->shadow != NULL) csimd_store_f32(run->shadow_type, run->shadow, i, updated);
    return change != 0 && csimd_load_f32(run->type, run->parameter, i) == old && left == carried;
}

static size_t sgd_f64(const csimd_optimizer_args *run, double *buffer, const csimd_sgd_coefficients *k) {
    double *parameter = run->parameter;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        double p = parameter[i], g = gradient_f64(run, i);
        if (k->weight_decay != 0) g += k->weight_decay * p;
        if (k->has_momentum) {
            buffer[i] = k->first_step ? g : k->momentum * buffer[i] + k->undamped * g;
            g = k->nesterov ? g + k->momentum * buffer[i] : buffer[i];
        }
        parameter[i] = p - k->learning_rate * g;
        lost += k->learning_rate * g != 0 && parameter[i] == p;
    }
    return lost;
}

static size_t sgd(const csimd_optimizer_args *run, csimd_optim_state state, const csimd_optim_coefficients *coefficients) {
    const csimd_sgd_coefficients *k = &coefficients->sgd;
    if (run->type == CSIMD_F64) return sgd_f64(run, state.first, k);
    float *buffer = state.first;
    const float learning_rate = (float)k->learning_rate, weight_decay = (float)k->weight_decay;
    const float momentum = (float)k->momentum, undamped = (float)k->undamped;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        float p = csimd_load_f32(run->type, run->parameter, i), g = gradient_f32(run, i);
        if (k->weight_decay != 0) g = fmaf(weight_decay, p, g);
        if (k->has_momentum) {
            buffer[i] = k->first_step ? g : fmaf(momentum, buffer[i], undamped * g);
            g = k->nesterov ? fmaf(momentum, buffer[i], g) : buffer[i];
        }
        lost += store_parameter(run, i, p, fmaf(-learning_rate, g, p), -(learning_rate * g));
    }
    return lost;
}

// m += (1 - beta1)(g - m) in PyTorch's two forms (lerp): from whichever end is nearer, so that beta1 = 0 gives exactly g.
static float lerp_f32(float m, float g, float beta1, bool from_m, float share) {
    return from_m ? fmaf(share, g - m, m) : fmaf(-beta1, g - m, g);
}

static double lerp_f64(double m, double g, double beta1, double share) {
    return share < 0.5 ? m + share * (g - m) : g - beta1 * (g - m);
}

static size_t adam_f64(const csimd_optimizer_args *run, double *first, double *second, double *largest,
                       const csimd_adam_coefficients *k) {
    double *parameter = run->parameter;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const double old = parameter[i], p = old * k->decay;
        double g = gradient_f64(run, i);
        if (k->weight_decay != 0) g += k->weight_decay * p;
        first[i] = lerp_f64(first[i], g, k->beta1, k->gradient_share_of_first);
        second[i] = k->beta2 * second[i] + k->gradient_share_of_second * g * g;
        double v = second[i];
        if (largest != NULL) v = largest[i] = largest[i] > v ? largest[i] : v;
        const double step = k->step_size * first[i] / (sqrt(v) / k->second_correction + k->epsilon);
        parameter[i] = p - step;
        lost += k->shrinkage * old + step != 0 && parameter[i] == old;
    }
    return lost;
}

static size_t adam(const csimd_optimizer_args *run, csimd_optim_state state, const csimd_optim_coefficients *coefficients) {
    const csimd_adam_coefficients *k = &coefficients->adam;
    if (run->type == CSIMD_F64) return adam_f64(run, state.first, state.second, state.third, k);
    float *first = state.first, *second = state.second, *largest = state.third;
    const float decay = (float)k->decay, shrinkage = (float)k->shrinkage;
    const float weight_decay = (float)k->weight_decay, epsilon = (float)k->epsilon;
    const float beta1 = (float)k->beta1, share1 = (float)k->gradient_share_of_first;
    const float beta2 = (float)k->beta2, share2 = (float)k->gradient_share_of_second;
    const float step_size = (float)k->step_size, correction = (float)(1 / k->second_correction);
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const float old = csimd_load_f32(run->type, run->parameter, i), p = old * decay;
        float g = gradient_f32(run, i);
        if (k->weight_decay != 0) g = fmaf(weight_decay, p, g);
        first[i] = lerp_f32(first[i], g, beta1, k->gradient_share_of_first < 0.5, share1);
        second[i] = fmaf(beta2, second[i], share2 * g * g);
        float v = second[i];
        if (largest != NULL) v = largest[i] = largest[i] > v ? largest[i] : v;
        const float step = step_size * first[i] / fmaf(sqrtf(v), correction, epsilon);
        lost += store_parameter(run, i, old, p - step, -fmaf(shrinkage, old, step));
    }
    return lost;
}

static size_t rmsprop_f64(const csimd_optimizer_args *run, double *square, double *mean, double *buffer,
                          const csimd_rmsprop_coefficients *k) {
    double *parameter = run->parameter;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const double p = parameter[i];
        double g = gradient_f64(run, i);
        if (k->weight_decay != 0) g += k->weight_decay * p;
        double v = square[i] = k->alpha * square[i] + k->gradient_share * g * g;
        if (k->is_centered) {
            mean[i] = lerp_f64(mean[i], g, k->alpha, k->gradient_share);
            v -= mean[i] * mean[i];
            v = v < 0 ? 0 : v;
        }
        double direction = g / (sqrt(v) + k->epsilon);
        if (k->has_momentum) direction = buffer[i] = k->momentum * buffer[i] + direction;
        parameter[i] = p - k->learning_rate * direction;
        lost += k->learning_rate * direction != 0 && parameter[i] == p;
    }
    return lost;
}

static size_t rmsprop(const csimd_optimizer_args *run, csimd_optim_state state, const csimd_optim_coefficients *coefficients) {
    const csimd_rmsprop_coefficients *k = &coefficients->rmsprop;
    if (run->type == CSIMD_F64) return rmsprop_f64(run, state.first, state.second, state.third, k);
    float *square = state.first, *mean = state.second, *buffer = state.third;
    const float learning_rate = (float)k->learning_rate, weight_decay = (float)k->weight_decay;
    const float alpha = (float)k->alpha, share = (float)k->gradient_share;
    const float epsilon = (float)k->epsilon, momentum = (float)k->momentum;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const float p = csimd_load_f32(run->type, run->parameter, i);
        float g = gradient_f32(run, i);
        if (k->weight_decay != 0) g = fmaf(weight_decay, p, g);
        float v = square[i] = fmaf(alpha, square[i], share * g * g);
        if (k->is_centered) {
            mean[i] = lerp_f32(mean[i], g, alpha, k->gradient_share < 0.5, share);
            v = fmaf(-mean[i], mean[i], v);
            v = v < 0 ? 0 : v;
        }
        float direction = g / (sqrtf(v) + epsilon);
        if (k->has_momentum) direction = buffer[i] = fmaf(momentum, buffer[i], direction);
        lost += store_parameter(run, i, p, fmaf(-learning_rate, direction, p), -(learning_rate * direction));
    }
    return lost;
}

static size_t adagrad_f64(const csimd_optimizer_args *run, double *sum, const csimd_adagrad_coefficients *k) {
    double *parameter = run->parameter;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const double p = parameter[i];
        double g = gradient_f64(run, i);
        if (k->weight_decay != 0) g += k->weight_decay * p;
        sum[i] += g * g;
        const double step = k->step_size * g / (sqrt(sum[i]) + k->epsilon);
        parameter[i] = p - step;
        lost += step != 0 && parameter[i] == p;
    }
    return lost;
}

static size_t adagrad(const csimd_optimizer_args *run, csimd_optim_state state, const csimd_optim_coefficients *coefficients) {
    const csimd_adagrad_coefficients *k = &coefficients->adagrad;
    if (run->type == CSIMD_F64) return adagrad_f64(run, state.first, k);
    float *sum = state.first;
    const float step_size = (float)k->step_size, weight_decay = (float)k->weight_decay, epsilon = (float)k->epsilon;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const float p = csimd_load_f32(run->type, run->parameter, i);
        float g = gradient_f32(run, i);
        if (k->weight_decay != 0) g = fmaf(weight_decay, p, g);
        sum[i] = fmaf(g, g, sum[i]);
        const float step = step_size * g / (sqrtf(sum[i]) + epsilon);
        lost += store_parameter(run, i, p, p - step, -step);
    }
    return lost;
}

// 0 of 0, NaN of NaN.
static double sign_f64(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

static size_t lion_f64(const csimd_optimizer_args *run, double *moment, const csimd_lion_coefficients *k) {
    double *parameter = run->parameter;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const double old = parameter[i], g = gradient_f64(run, i), m = moment[i];
        const double step = k->learning_rate * sign_f64(k->beta1 * m + k->gradient_share_of_step * g);
        moment[i] = k->beta2 * m + k->gradient_share_of_moment * g;
        parameter[i] = old * k->decay - step;
        lost += k->shrinkage * old + step != 0 && parameter[i] == old;
    }
    return lost;
}

static size_t lion(const csimd_optimizer_args *run, csimd_optim_state state, const csimd_optim_coefficients *coefficients) {
    const csimd_lion_coefficients *k = &coefficients->lion;
    if (run->type == CSIMD_F64) return lion_f64(run, state.first, k);
    float *moment = state.first;
    const float learning_rate = (float)k->learning_rate, decay = (float)k->decay, shrinkage = (float)k->shrinkage;
    const float beta1 = (float)k->beta1, share1 = (float)k->gradient_share_of_step;
    const float beta2 = (float)k->beta2, share2 = (float)k->gradient_share_of_moment;
    size_t lost = 0;
    for (size_t i = 0; i < run->count; i++) {
        const float old = csimd_load_f32(run->type, run->parameter, i), g = gradient_f32(run, i), m = moment[i];
        const float sign = (float)sign_f64((double)fmaf(beta1, m, share1 * g));
        moment[i] = fmaf(beta2, m, share2 * g);
        const float updated = fmaf(-learning_rate, sign, old * decay);
        lost += store_parameter(run, i, old, updated, -fmaf(shrinkage, old, learning_rate * sign));
    }
    return lost;
}

const csimd_optim_kernels csimd_optim_kernels_ref = {
    .sgd = sgd, .adam = adam, .rmsprop = rmsprop, .adagrad = adagrad, .lion = lion};
