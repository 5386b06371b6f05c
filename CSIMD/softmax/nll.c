// Drivers of the fused log-softmax + negative log-likelihood: every target is checked before anything is written; then fixed
// blocks of rows over the threads, whose float64 sums are added in the order of the blocks.
#include "softmax.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

#include <stdatomic.h>

typedef struct {
    double loss, weight;
} block_sums;

static csimd_status check(const csimd_nll_args *args, size_t *bad_row) {
    if (args == NULL || !csimd_type_valid(args->type)) return CSIMD_INVALID_ARGUMENT;
    if (!csimd_softmax_shape_valid(args->rows, args->columns)) return CSIMD_INVALID_ARGUMENT;
    if (!(args->label_smoothing >= 0 && args->label_smoothing <= 1)) return CSIMD_INVALID_ARGUMENT;
    if (args->rows == 0) return CSIMD_OK;
    if (args->targets == NULL || (args->columns != 0 && args->logits == NULL)) return CSIMD_INVALID_ARGUMENT;
    for (size_t row = 0; row < args->rows; row++) {
        int64_t target = args->targets[row];
        if (target == args->ignore_index || (target >= 0 && (uint64_t)target < args->columns)) continue;
        if (bad_row != NULL) *bad_row = row;
        return CSIMD_BAD_TARGET;
    }
    return CSIMD_OK;
}

// sum_c w_c, which only label smoothing needs.
static double total_weight(const csimd_nll_args *args) {
    if (args->label_smoothing == 0) return 0;
    if (args->class_weights == NULL) return (double)args->columns;
    double sum = 0;
    for (size_t column = 0; column < args->columns; column++) sum += args->class_weights[column];
    return sum;
}

// What the blocks of one call share.
typedef struct {
    const csimd_nll_args *args;
    const csimd_softmax_kernels *kernels;
    double weight_total;
    size_t step, blocks, row_bytes, result_bytes;  // rows a block; bytes of a row of logits and of a row's results
    int threads;
} block_plan;

typedef struct {
    block_plan plan;
    void *row_loss, *log_sum_exp;
    block_sums *sums;
} forward_pass;

typedef struct {
    block_plan plan;
    const void *log_sum_exp, *row_scale;
    double scale;
    void *gradient;
} backward_pass;

typedef struct {
    forward_pass forward;
    double scale;
    void *gradient;
    atomic_bool out_of_memory;
} both_passes;

static block_plan plan_of(const csimd_nll_args *args) {
    const size_t step = csimd_softmax_rows_per_block(args->columns);
    return (block_plan){
        .args = args,
        .kernels = csimd_kernels()->softmax,
        .weight_total = total_weight(args),
        .step = step,
        .blocks = (args->rows + step - 1) / step,
        .row_bytes = args->columns * csimd_type_size(args->type),
        .result_bytes = csimd_type_size(csimd_softmax_accumulation_type(args->type)),
        .threads = csimd_threads_for((double)args->rows * (double)args->columns, csimd_softmax_grain),
    };
}

static csimd_nll_args rows_of_block(const block_plan *plan, size_t i) {
    const size_t first_row = i * plan->step;
    csimd_nll_args block = *plan->args;
    block.rows = csimd_minimum(plan->step, plan->args->rows - first_row);
    block.logits = (const char *)plan->args->logits + first_row * plan->row_bytes;
    block.targets = plan->args->targets + first_row;
    return block;
}

static void forward_block(void *context, size_t i, size_t worker) {
    (void)worker;
    const forward_pass *pass = context;
    const block_plan *plan = &pass->plan;
    const csimd_nll_args block = rows_of_block(plan, i);
    const size_t offset = i * plan->step * plan->result_bytes;
    plan->kernels->nll_forward(&block, plan->weight_total, pass->row_loss == NULL ? NULL : (char *)pass->row_loss + offset,
                               (char *)pass->log_sum_exp + offset, &pass->sums[i].loss, &pass->sums[i].weight);
}

static void backward_block(void *context, size_t i, size_t worker) {
    (void)worker;
    const backward_pass *pass = context;
    const block_plan *plan = &pass->plan;
    const csimd_nll_args block = rows_of_block(plan, i);
    const size_t offset = i * plan->step * plan->result_bytes;
    plan->kernels->nll_backward(&block, plan->weight_total, (const char *)pass->log_sum_exp + offset,
                                pass->row_scale == NULL ? NULL : (const char *)pass->row_scale + offset, pass->scale,
                                (char *)pass->gradient + i * plan->step * plan->row_bytes);
}

static void both_of_block(void *context, size_t i, size_t worker) {
    (void)worker;
    both_passes *pass = context;
    const forward_pass *forward = &pass->forward;
    const block_plan *plan = &forward->plan;
    const csimd_nll_args block = rows_of_block(plan, i);
    float *exps = csimd_scratch(CSIMD_SCRATCH_B, csimd_nll_scratch_floats(block.columns) * sizeof(float));
    if (exps == NULL) {
        atomic_store(&pass->out_of_memory, true);
        return;
    }
    const size_t offset = i * plan->step * plan->result_bytes;
    plan->kernels->nll_both(&block, plan->weight_total, forward->row_loss == NULL ? NULL : (char *)forward->row_loss + offset,
                            (char *)forward->log_sum_exp + offset, &forward->sums[i].loss, &forward->sums[i].weight,
                            pass->scale, (char *)pass->gradient + i * plan->step * plan->row_bytes, exps);
}

// sum of w_t over the rows that are not ignored, block by block as csimd_nll_forward adds them.
static double counted_weight(const block_plan *plan) {
    double sum = 0;
    for (size_t i = 0; i < plan->blocks; i++) {
        const csimd_nll_args block = rows_of_block(plan, i);
        double weights = 0;
        for (size_t row = 0; row < block.rows; row++)
            if (block.targets[row] != block.ignore_index)
                weights += block.class_weights == NULL ? 1 : (double)block.class_weights[block.targets[row]];
        sum += weights;
    }
    return sum;
}

// In the order of the blocks.
static void add_up(const block_sums *sums, size_t blocks, double *loss_sum, double *weight_sum) {
    *loss_sum = 0;
    *weight_sum = 0;
    for (size_t i = 0; i < blocks; i++) {
        *loss_sum += sums[i].loss;
        *weight_sum += sums[i].weight;
    }
}

csimd_status csimd_nll_forward(const csimd_nll_args *args, void *row_loss, void *log_sum_exp, double *loss_sum,
                               double *weight_sum, size_t *bad_row) {
    csimd_status status = check(args, bad_row);
    if (status != CSIMD_OK) return status;
    if (loss_sum == NULL || weight_sum == NULL || (args->rows != 0 && log_sum_exp == NULL)) return CSIMD_INVALID_ARGUMENT;
    const block_plan plan = plan_of(args);
    block_sums few[16], *sums = plan.blocks <= 16 ? few : csimd_scratch(CSIMD_SCRATCH_A, plan.blocks * sizeof(block_sums));
    if (sums == NULL) return CSIMD_OUT_OF_MEMORY;
    forward_pass pass = {plan, row_loss, log_sum_exp, sums};
    csimd_run_tasks(plan.blocks, plan.threads, forward_block, &pass);
    add_up(sums, plan.blocks, loss_sum, weight_sum);
    return CSIMD_OK;
}

csimd_status csimd_nll_backward(const csimd_nll_args *args, const void *log_sum_exp, const void *row_scale, double scale,
                                void *gradient) {
    csimd_status status = check(args, NULL);
    if (status != CSIMD_OK || args->rows == 0 || args->columns == 0) return status;
    if (log_sum_exp == NULL || gradient == NULL) return CSIMD_INVALID_ARGUMENT;
    backward_pass pass = {plan_of(args), log_sum_exp, row_scale, scale, gradient};
    csimd_run_tasks(pass.plan.blocks, pass.plan.threads, backward_block, &pass);
    return CSIMD_OK;
}

csimd_status csimd_nll_weight(const csimd_nll_args *args, double *weight_sum, size_t *bad_row) {
    csimd_status status = check(args, bad_row);
    if (status != CSIMD_OK) return status;
    if (weight_sum == NULL) return CSIMD_INVALID_ARGUMENT;
    const block_plan plan = plan_of(args);
    *weight_sum = counted_weight(&plan);
    return CSIMD_OK;
}

csimd_status csimd_nll(const csimd_nll_args *args, double scale, void *row_loss, void *log_sum_exp, void *gradient,
                       double *loss_sum, double *weight_sum, size_t *bad_row) {
    csimd_status status = check(args, bad_row);
    if (status != CSIMD_OK) return status;
    if (loss_sum == NULL || weight_sum == NULL) return CSIMD_INVALID_ARGUMENT;
    if (args->rows != 0 && (log_sum_exp == NULL || (args->columns != 0 && gradient == NULL))) return CSIMD_INVALID_ARGUMENT;
    const block_plan plan = plan_of(args);
    block_sums few[16], *sums = plan.blocks <= 16 ? few : csimd_scratch(CSIMD_SCRATCH_A, plan.blocks * sizeof(block_sums));
    if (sums == NULL) return CSIMD_OUT_OF_MEMORY;
    both_passes pass = {{plan, row_loss, log_sum_exp, sums}, scale, gradient, false};
    csimd_run_tasks(plan.blocks, plan.threads, both_of_block, &pass);
    if (pass.out_of_memory) return CSIMD_OUT_OF_MEMORY;
    add_up(sums, plan.blocks, loss_sum, weight_sum);
    return CSIMD_OK;
}
