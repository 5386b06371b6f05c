// Kernels of the family "optim": a run of elements in one thread. The driver (optim.c) has checked the arguments, derived the
// coefficients in float64 and advanced the pointers. A kernel returns the number of lost updates where they are asked for.
#ifndef CSIMD_OPTIM_H
#define CSIMD_OPTIM_H

#include "optim_rounding.h"

// Everything that is the same for all elements, derived in float64. Kernels with float32 arithmetic round each once.
typedef struct {
    double learning_rate, weight_decay, momentum, undamped;  // undamped = 1 - dampening
    bool has_momentum, nesterov, first_step;
} csimd_sgd_coefficients;

typedef struct {
    double decay;                            // the parameter's factor: 1 - learning_rate weight_decay where decoupled, else 1
    double shrinkage;                        // 1 - decay, unrounded
    double weight_decay;                     // what is added to the gradient: 0 where decoupled
    double beta1, gradient_share_of_first;   // beta1, 1 - beta1
    double beta2, gradient_share_of_second;  // beta2, 1 - beta2
    double step_size;                        // learning_rate / (1 - beta1^t)
    double second_correction;                // sqrt(1 - beta2^t)
    double epsilon;
} csimd_adam_coefficients;

typedef struct {
    double learning_rate, weight_decay, alpha, gradient_share, epsilon, momentum;  // gradient_share = 1 - alpha
    bool is_centered, has_momentum;
} csimd_rmsprop_coefficients;

typedef struct {
    double step_size, weight_decay, epsilon;  // step_size = learning_rate / (1 + (t - 1) learning_rate_decay)
} csimd_adagrad_coefficients;

typedef struct {
    double learning_rate;
    double decay, shrinkage;                 // the parameter's factor, 1 - learning_rate weight_decay; and 1 less it
    double beta1, gradient_share_of_step;    // beta1, 1 - beta1
    double beta2, gradient_share_of_moment;  // beta2, 1 - beta2
} csimd_lion_coefficients;

typedef union {
    csimd_sgd_coefficients sgd;
    csimd_adam_coefficients adam;
    csimd_rmsprop_coefficients rmsprop;
    csimd_adagrad_coefficients adagrad;
    csimd_lion_coefficients lion;
} csimd_optim_coefficients;

// An optimizer's state in the order of its step's arguments; NULL where it has none. float, or double for f64.
typedef struct {
    void *first, *second, *third;
    bool stream_shadow;  // the shadow, which begins on a cache line, is stored past the caches
} csimd_optim_state;

typedef size_t (*csimd_optim_kernel)(const csimd_optimizer_args *run, csimd_optim_state state,
                                     const csimd_optim_coefficients *coefficients);

typedef struct {
    csimd_optim_kernel sgd, adam, rmsprop, adagrad, lion;
} csimd_optim_kernels;

extern const csimd_optim_kernels csimd_optim_kernels_ref;
extern const csimd_optim_kernels csimd_optim_kernels_avx2;
extern const csimd_optim_kernels csimd_optim_kernels_avx512;

#endif
