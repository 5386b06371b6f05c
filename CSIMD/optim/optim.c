// Drivers of the optimizer steps: checks, coefficients in float64, then runs of elements over the threads.
#include "optim.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

// Elements a run: its 16 to 30 bytes each stay far under an L2 cache, and a run is 5 to 10 us of work, the least worth a
// thread.
enum { run_length = 1 << 14 };

static csimd_status check(const csimd_optimizer_args *args) {
    if (args == NULL || !csimd_type_valid(args->type)) return CSIMD_INVALID_ARGUMENT;
    if (args->shadow != NULL &&
        (args->type != CSIMD_F32 || (args->shadow_type != CSIMD_F16 && args->shadow_type != CSIMD_BF16)))
        return CSIMD_INVALID_ARGUMENT;
    switch (args->rounding) {
    case CSIMD_ROUND_NEAREST:
        break;
    case CSIMD_ROUND_STOCHASTIC:
    case CSIMD_ROUND_KAHAN:
        if (args->type != CSIMD_F16 && args->type != CSIMD_BF16) return CSIMD_INVALID_ARGUMENT;
        if (args->rounding == CSIMD_ROUND_KAHAN && args->compensation == NULL && args->count != 0)
            return CSIMD_INVALID_ARGUMENT;
        break;
    default:
        return CSIMD_INVALID_ARGUMENT;
    }
    if (args->count != 0 && (args->parameter == NULL || args->gradient == NULL)) return CSIMD_INVALID_ARGUMENT;
    if (args->updates_lost != NULL) *args->updates_lost = 0;
    return CSIMD_OK;
}

static size_t state_size(csimd_type type) { return type == CSIMD_F64 ? sizeof(double) : sizeof(float); }

static csimd_optimizer_args run_of(const csimd_optimizer_args *args, size_t first) {
    csimd_optimizer_args run = *args;
    run.count = csimd_minimum(run_length, args->count - first);
    run.parameter = (char *)args->parameter + first * csimd_type_size(args->type);
    run.gradient = (const char *)args->gradient + first * state_size(args->type);
    if (args->shadow != NULL) run.shadow = (char *)args->shadow + first * csimd_type_size(args->shadow_type);
    run.first_index = args->first_index + first;
    if (args->compensation != NULL) run.compensation = args->compensation + first;
    return run;
}

static void *state_at(const csimd_optimizer_args *args, void *state, size_t first) {
    return state == NULL ? NULL : (char *)state + first * state_size(args->type);
}

static csimd_status finish(const csimd_optimizer_args *args, size_t lost) {
    if (args->updates_lost != NULL) *args->updates_lost = lost;
    return CSIMD_OK;
}

csimd_status csimd_sgd_step(const csimd_optimizer_args *args, void *momentum_buffer, double momentum, double dampening,
                            bool nesterov, bool first_step) {
    csimd_status status = check(args);
    if (status != CSIMD_OK || args->count == 0) return status;
    if (momentum != 0 && momentum_buffer == NULL) return CSIMD_INVALID_ARGUMENT;
    const csimd_sgd_coefficients coefficients = {
        .learning_rate = args->learning_rate,
        .weight_decay = args->weight_decay,
        .momentum = momentum,
        .undamped = 1 - dampening,
        .has_momentum = momentum != 0,
        .nesterov = nesterov,
        .first_step = first_step,
    };
    const csimd_optim_kernels *kernels = csimd_kernels()->optim;
    const int threads = csimd_threads_for((double)args->count, run_length);
    if (threads == 1) {  // all of it is one run
        return finish(args, kernels->sgd(args, momentum_buffer, &coefficients));
    }
    size_t lost = 0;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(+ : lost)
    for (size_t first = 0; first < args->count; first += run_length) {
        csimd_optimizer_args run = run_of(args, first);
        lost += kernels->sgd(&run, state_at(args, momentum_buffer, first), &coefficients);
    }
    return finish(args, lost);
}

csimd_status csimd_adam_step(const csimd_optimizer_args *args, void *first_moment, void *second_moment, void *max_second_moment,
                             double beta1, double beta2, double epsilon, bool decoupled, uint64_t step) {
    csimd_status status = check(args);
    if (status != CSIMD_OK) return status;
    if (step == 0) return CSIMD_INVALID_ARGUMENT;
    if (args->count == 0) return CSIMD_OK;
    if (first_moment == NULL || second_moment == NULL) return CSIMD_INVALID_ARGUMENT;
    const csimd_adam_coefficients coefficients = {
        .shrinkage = decoupled ? args->learning_rate * args->weight_decay : 0,
        .decay = decoupled ? 1 - args->learning_rate * args->weight_decay : 1,
        .weight_decay = decoupled ? 0 : args->weight_decay,
        .beta1 = beta1,
        .gradient_share_of_first = 1 - beta1,
        .beta2 = beta2,
        .gradient_share_of_second = 1 - beta2,
        .step_size = args->learning_rate / (1 - pow(beta1, (double)step)),
        .second_correction = sqrt(1 - pow(beta2, (double)step)),
        .epsilon = epsilon,
    };
    const csimd_optim_kernels *kernels = csimd_kernels()->optim;
    const int threads = csimd_threads_for((double)args->count, run_length);
    if (threads == 1) {
        return finish(args, kernels->adam(args, first_moment, second_moment, max_second_moment, &coefficients));
    }
    size_t lost = 0;
#pragma omp parallel for schedule(static) num_threads(threads) reduction(+ : lost)
    for (size_t first = 0; first < args->count; first += run_length) {
        csimd_optimizer_args run = run_of(args, first);
        lost += kernels->adam(&run, state_at(args, first_moment, first), state_at(args, second_moment, first),
                              state_at(args, max_second_moment, first), &coefficients);
    }
    return finish(args, lost);
}
