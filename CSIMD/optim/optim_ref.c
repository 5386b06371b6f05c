// The reference row: each element by PyTorch's formula in PyTorch's order, in float32 (float64 for f64, which only this row
// serves). Coefficients are rounded to float32 where they meet float32 values, as PyTorch rounds its scalars.
#include "optim.h"

#include "../support/scalar16.h"

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

static void store_parameter(const csimd_optimizer_args *run, size_t i, float p) {
    csimd_store_f32(run->type, run->parameter, i, p);
    if (run->shadow != NULL) csimd_store_f32(run->shadow_type, run->shadow, i, p);
}

static void sgd_f64(const csimd_optimizer_args *run, double *buffer, const csimd_sgd_coefficients *k) {
    double *parameter = run->parameter;
    for (size_t i = 0; i < run->count; i++) {
        double p = parameter[i], g = gradient_f64(run, i);
        if (k->weight_decay != 0) g += k->weight_decay * p;
        if (k->has_momentum) {
            buffer[i] = k->first_step ? g : k->momentum * buffer[i] + k->undamped * g;
            g = k->nesterov ? g + k->momentum * buffer[i] : buffer[i];
        }
        parameter[i] = p - k->learning_rate * g;
    }
}

static void sgd(const csimd_optimizer_args *run, void *momentum_buffer, const csimd_sgd_coefficients *k) {
    if (run->type == CSIMD_F64) {
        sgd_f64(run, momentum_buffer, k);
        return;
    }
    float *buffer = momentum_buffer;
    const float learning_rate = (float)k->learning_rate, weight_decay = (float)k->weight_decay;
    const float momentum = (float)k->momentum, undamped = (float)k->undamped;
    for (size_t i = 0; i < run->count; i++) {
        float p = csimd_load_f32(run->type, run->parameter, i), g = gradient_f32(run, i);
        if (weight_decay != 0) g += weight_decay * p;
        if (k->has_momentum) {
            buffer[i] = k->first_step ? g : momentum * buffer[i] + undamped * g;
            g = k->nesterov ? g + momentum * buffer[i] : buffer[i];
        }
        store_parameter(run, i, p - learning_rate * g);
    }
}

// m += (1 - beta1)(g - m) in PyTorch's two forms (lerp): from whichever end is nearer, so that beta1 = 0 gives exactly g.
static float lerp_f32(float m, float g, float beta1, float share) {
    return share < 0.5f ? m + share * (g - m) : g - beta1 * (g - m);
}

static double lerp_f64(double m, double g, double beta1, double share) {
    return share < 0.5 ? m + share * (g - m) : g - beta1 * (g - m);
}

static void adam_f64(const csimd_optimizer_args *run, double *first, double *second, double *largest,
                     const csimd_adam_coefficients *k) {
    double *parameter = run->parameter;
    for (size_t i = 0; i < run->count; i++) {
        double p = parameter[i] * k->decay, g = gradient_f64(run, i);
        if (k->weight_decay != 0) g += k->weight_decay * p;
        first[i] = lerp_f64(first[i], g, k->beta1, k->gradient_share_of_first);
        second[i] = k->beta2 * second[i] + k->gradient_share_of_second * g * g;
        double v = second[i];
        if (largest != NULL) v = largest[i] = largest[i] > v ? largest[i] : v;
        parameter[i] = p - k->step_size * first[i] / (sqrt(v) / k->second_correction + k->epsilon);
    }
}

static void adam(const csimd_optimizer_args *run, void *first_moment, void *second_moment, void *max_second_moment,
                 const csimd_adam_coefficients *k) {
    if (run->type == CSIMD_F64) {
        adam_f64(run, first_moment, second_moment, max_second_moment, k);
        return;
    }
    float *first = first_moment, *second = second_moment, *largest = max_second_moment;
    const float decay = (float)k->decay, weight_decay = (float)k->weight_decay, epsilon = (float)k->epsilon;
    const float beta1 = (float)k->beta1, share1 = (float)k->gradient_share_of_first;
    const float beta2 = (float)k->beta2, share2 = (float)k->gradient_share_of_second;
    const float step_size = (float)k->step_size, correction = (float)k->second_correction;
    for (size_t i = 0; i < run->count; i++) {
        float p = csimd_load_f32(run->type, run->parameter, i) * decay, g = gradient_f32(run, i);
        if (weight_decay != 0) g += weight_decay * p;
        first[i] = lerp_f32(first[i], g, beta1, share1);
        second[i] = beta2 * second[i] + share2 * g * g;
        float v = second[i];
        if (largest != NULL) v = largest[i] = largest[i] > v ? largest[i] : v;
        store_parameter(run, i, p - step_size * first[i] / (sqrtf(v) / correction + epsilon));
    }
}

const csimd_optim_kernels csimd_optim_kernels_ref = {.sgd = sgd, .adam = adam};
