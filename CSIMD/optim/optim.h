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
    size_t (*sgd)(const csimd_optimizer_args *run, void *momentum_buffer, const csimd_sgd_coefficients *coefficients);
    size_t (*adam)(const csimd_optimizer_args *run, void *first_moment, void *second_moment, void *max_second_moment,
                   const csimd_adam_coefficients *coefficients);
} csimd_optim_kernels;

extern const csimd_optim_kernels csimd_optim_kernels_ref;
extern const csimd_optim_kernels csimd_optim_kernels_avx2;
extern const csimd_optim_kernels csimd_optim_kernels_avx512;

#endif
