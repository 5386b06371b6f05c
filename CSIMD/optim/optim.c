// Drivers of the optimizer steps: checks, coefficients in float64, then runs of elements over the threads.
#include "optim.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

#include <stdatomic.h>

// Elements a run: its 16 to 30 bytes each stay far under an L2 cache, and a run is 5 to 10 us of work, the least worth a
// thread.
enum { run_length = 1 << 14 };

// At least: parameter, gradient, a moment and the shadow.
enum { bytes_an_element = 14 };

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

typedef struct {
    const csimd_optimizer_args *args;
    csimd_optim_kernel kernel;
    csimd_optim_state state;
    csimd_optim_coefficients coefficients;
    size_t length;  // of a run
    atomic_size_t lost;
} optimizer_step;

static void *state_at(const csimd_optimizer_args *args, void *state, size_t first) {
    return state == NULL ? NULL : (char *)state + first * state_size(args->type);
}

static void step_run(void *context, size_t i, size_t worker) {
    (void)worker;
    optimizer_step *s = context;
    const csimd_optimizer_args *args = s->args;
    const size_t first = i * s->length;
    csimd_optimizer_args run = *args;
    run.count = csimd_minimum(s->length, args->count - first);
    run.parameter = (char *)args->parameter + first * csimd_type_size(args->type);
    run.gradient = (const char *)args->gradient + first * state_size(args->type);
    if (args->shadow != NULL) run.shadow = (char *)args->shadow + first * csimd_type_size(args->shadow_type);
    run.first_index = args->first_index + first;
    if (args->compensation != NULL) run.compensation = args->compensation + first;
    const csimd_optim_state state = {.first = state_at(args, s->state.first, first),
                                     .second = state_at(args, s->state.second, first),
                                     .third = state_at(args, s->state.third, first),
                                     .stream_shadow = s->state.stream_shadow};
    atomic_fetch_add_explicit(&s->lost, s->kernel(&run, state, &s->coefficients), memory_order_relaxed);
}

// The kernel over all elements, in runs where there is work for several threads.
static csimd_status step_runs(const csimd_optimizer_args *args, csimd_optim_kernel kernel, csimd_optim_state state,
                              csimd_optim_coefficients coefficients) {
    const int threads = csimd_threads_for((double)args->count, run_length);
    optimizer_step s = {.args = args,
                        .kernel = kernel,
                        .state = state,
                        .coefficients = coefficients,
                        .length = threads == 1 ? args->count : run_length};
    // The shadow alone is not read before it is written: past the caches it spares 2 bytes an element of about 34.
    s.state.stream_shadow = args->shadow != NULL && (uintptr_t)args->shadow % CSIMD_ALIGNMENT == 0 &&
                            args->count >= CSIMD_STREAM_BYTES / bytes_an_element;
    csimd_run_tasks((args->count + s.length - 1) / s.length, threads, step_run, &s);
    if (args->updates_lost != NULL) *args->updates_lost = s.lost;
    return CSIMD_OK;
}

csimd_status csimd_sgd_step(const csimd_optimizer_args *args, void *momentum_buffer, double momentum, double dampening,
                            bool nesterov, bool first_step) {
    const csimd_status status = check(args);
    if (status != CSIMD_OK || args->count == 0) return status;
    if (momentum != 0 && momentum_buffer == NULL) return CSIMD_INVALID_ARGUMENT;
    const csimd_sgd_coefficients sgd = {
        .learning_rate = args->learning_rate,
        .weight_decay = args->weight_decay,
        .momentum = momentum,
        .undamped = 1 - dampening,
        .has_momentum = momentum != 0,
        .nesterov = nesterov,
        .first_step = first_step,
    };
    return step_runs(args, csimd_kernels()->optim->sgd, (csimd_optim_state){.first = momentum_buffer},
                     (csimd_optim_coefficients){.sgd = sgd});
}

csimd_status csimd_adam_step(const csimd_optimizer_args *args, void *first_moment, void *second_moment, void *max_second_moment,
                             double beta1, double beta2, double epsilon, bool decoupled, uint64_t step) {
    const csimd_status status = check(args);
    if (status != CSIMD_OK) return status;
    if (step == 0) return CSIMD_INVALID_ARGUMENT;
    if (args->count == 0) return CSIMD_OK;
    if (first_moment == NULL || second_moment == NULL) return CSIMD_INVALID_ARGUMENT;
    const csimd_adam_coefficients adam = {
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
    const csimd_optim_state state = {.first = first_moment, .second = second_moment, .third = max_second_moment};
    return step_runs(args, csimd_kernels()->optim->adam, state, (csimd_optim_coefficients){.adam = adam});
}

csimd_status csimd_rmsprop_step(const csimd_optimizer_args *args, void *square_mean, void *gradient_mean, void *momentum_buffer,
                                double alpha, double epsilon, double momentum) {
    const csimd_status status = check(args);
    if (status != CSIMD_OK || args->count == 0) return status;
    if (square_mean == NULL || (momentum != 0 && momentum_buffer == NULL)) return CSIMD_INVALID_ARGUMENT;
    const csimd_rmsprop_coefficients rmsprop = {
        .learning_rate = args->learning_rate,
        .weight_decay = args->weight_decay,
        .alpha = alpha,
        .gradient_share = 1 - alpha,
        .epsilon = epsilon,
        .momentum = momentum,
        .is_centered = gradient_mean != NULL,
        .has_momentum = momentum != 0,
    };
    const csimd_optim_state state = {.first = square_mean, .second = gradient_mean, .third = momentum_buffer};
    return step_runs(args, csimd_kernels()->optim->rmsprop, state, (csimd_optim_coefficients){.rmsprop = rmsprop});
}

csimd_status csimd_adagrad_step(const csimd_optimizer_args *args, void *square_sum, double learning_rate_decay, double epsilon,
                                uint64_t step) {
    const csimd_status status = check(args);
    if (status != CSIMD_OK) return status;
    if (step == 0) return CSIMD_INVALID_ARGUMENT;
    if (args->count == 0) return CSIMD_OK;
    if (square_sum == NULL) return CSIMD_INVALID_ARGUMENT;
    const csimd_adagrad_coefficients adagrad = {
        .step_size = args->learning_rate / (1 + ((double)step - 1) * learning_rate_decay),
        .weight_decay = args->weight_decay,
        .epsilon = epsilon,
    };
    return step_runs(args, csimd_kernels()->optim->adagrad, (csimd_optim_state){.first = square_sum},
                     (csimd_optim_coefficients){.adagrad = adagrad});
}

csimd_status csimd_lion_step(const csimd_optimizer_args *args, void *moment, double beta1, double beta2) {
    const csimd_status status = check(args);
    if (status != CSIMD_OK || args->count == 0) return status;
    if (moment == NULL) return CSIMD_INVALID_ARGUMENT;
    const csimd_lion_coefficients lion = {
        .learning_rate = args->learning_rate,
        .decay = 1 - args->learning_rate * args->weight_decay,
        .shrinkage = args->learning_rate * args->weight_decay,
        .beta1 = beta1,
        .gradient_share_of_step = 1 - beta1,
        .beta2 = beta2,
        .gradient_share_of_moment = 1 - beta2,
    };
    return step_runs(args, csimd_kernels()->optim->lion, (csimd_optim_state){.first = moment},
                     (csimd_optim_coefficients){.lion = lion});
}
