// Drivers of the optimizer steps: checks, coefficients in float64, then runs of elements over the threads.
#include "optim.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

#include <stdatomic.h>

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

// One step of one kind: how a run's kernel is called, with the kind's states and coefficients.
typedef size_t (*kernel_call)(const csimd_optim_kernels *kernels, const csimd_optimizer_args *run, void *const *states,
                              const void *coefficients);

enum { most_states = 3 };

typedef struct {
    const csimd_optim_kernels *kernels;
    const csimd_optimizer_args *args;
    kernel_call call;
    void *states[most_states];
    const void *coefficients;
    size_t length;  // of a run
    atomic_size_t lost;
} optimizer_step;

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
    void *states[most_states];
    for (int k = 0; k < most_states; k++)
        states[k] = s->states[k] == NULL ? NULL : (char *)s->states[k] + first * state_size(args->type);
    atomic_fetch_add_explicit(&s->lost, s->call(s->kernels, &run, states, s->coefficients), memory_order_relaxed);
}

static csimd_status run_step(optimizer_step s) {
    s.kernels = csimd_kernels()->optim;
    const int threads = csimd_threads_for((double)s.args->count, run_length);
    s.length = threads == 1 ? s.args->count : run_length;
    csimd_run_tasks((s.args->count + s.length - 1) / s.length, threads, step_run, &s);
    if (s.args->updates_lost != NULL) *s.args->updates_lost = s.lost;
    return CSIMD_OK;
}

static size_t call_sgd(const csimd_optim_kernels *kernels, const csimd_optimizer_args *run, void *const *states,
                       const void *coefficients) {
    return kernels->sgd(run, states[0], coefficients);
}

static size_t call_adam(const csimd_optim_kernels *kernels, const csimd_optimizer_args *run, void *const *states,
                        const void *coefficients) {
    return kernels->adam(run, states[0], states[1], states[2], coefficients);
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
    return run_step(
        (optimizer_step){.args = args, .call = call_sgd, .states = {momentum_buffer}, .coefficients = &coefficients});
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
    return run_step((optimizer_step){.args = args,
                                     .call = call_adam,
                                     .states = {first_moment, second_moment, max_second_moment},
                                     .coefficients = &coefficients});
}
