// Drivers of attention: checks, scratch, and tasks over the threads. A task is what shares a key head: its keys and values are
// packed once. Forward, where there are fewer of these than threads, their queries are cut too; no query's arithmetic depends
// on it.
#include "attention.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

static const double grain = 1e5;  // multiply-adds that one thread keeps

static bool is_operand(csimd_heads x, csimd_type type, size_t batch, size_t heads, size_t rows, size_t width) {
    if (batch == 0 || heads == 0 || rows == 0) return true;
    size_t last = width, step;
    const size_t counts[3] = {batch, heads, rows}, strides[3] = {x.batch_stride, x.head_stride, x.row_stride};
    for (int axis = 0; axis < 3; axis++)
        if (__builtin_mul_overflow(counts[axis] - 1, strides[axis], &step) || __builtin_add_overflow(last, step, &last))
            return false;
    return x.base != NULL && (rows == 1 || x.row_stride >= width) && last <= PTRDIFF_MAX / csimd_type_size(type);
}

static bool is_valid(const csimd_attention_args *g) {
    if (!csimd_type_valid(g->type) || g->head_size == 0 || g->head_size > csimd_attention_most_head_size) return false;
    if (g->key_heads == 0 || g->heads % g->key_heads != 0 || !(g->scale > 0) || isinf(g->scale)) return false;
    return is_operand(g->q, g->type, g->batch, g->heads, g->queries, g->head_size) &&
           is_operand(g->k, g->type, g->batch, g->key_heads, g->keys, g->head_size) &&
           is_operand(g->v, g->type, g->batch, g->key_heads, g->keys, g->head_size);
}

static const csimd_attention_kernels *kernels_for(const csimd_attention_args *args) {
    const csimd_row *row = csimd_kernels();
    if (args->type == CSIMD_F64) return &csimd_attention_kernels_ref;
    const bool native = args->type == CSIMD_BF16 && row->attention_bf16 != NULL && csimd_active_bf16_gemm() != CSIMD_WIDEN;
    return native && row->has_gemm_bf16(csimd_cpu_detect()) ? row->attention_bf16 : row->attention;
}

static double work_of(const csimd_attention_args *args) {
    return (double)args->batch * (double)args->heads * (double)args->queries * (double)args->keys * (double)args->head_size;
}

static bool reads_in_place(const csimd_attention_args *args) { return args->queries <= csimd_attention_few_queries; }

static void run_forward(void *context, size_t task, size_t worker) {
    const csimd_attention_call *call = context;
    const csimd_attention_args *args = call->args;
    const size_t part = task % call->parts, key_head = task / call->parts % args->key_heads;
    const size_t element = task / call->parts / args->key_heads;
    float *scratch = call->scratch + worker * call->scratch_floats;
    if (call->kernels->products == NULL)
        csimd_attention_formula(args, call->o, call->log_sum_exp, element, key_head);
    else if (reads_in_place(args))
        csimd_attention_few_task(call, element, key_head, scratch);
    else
        csimd_attention_forward_task(call, element, key_head, part, scratch);
}

static void run_backward(void *context, size_t task, size_t worker) {
    const csimd_attention_call *call = context;
    const csimd_attention_args *args = call->args;
    const size_t key_head = task % args->key_heads, element = task / args->key_heads;
    if (call->kernels->products == NULL)
        csimd_attention_gradient_formula(args, call->o, call->log_sum_exp, call->o_gradient, call->q_gradient, call->k_gradient,
                                         call->v_gradient, element, key_head);
    else
        csimd_attention_backward_task(call, element, key_head, call->scratch + worker * call->scratch_floats);
}

// Scratch on huge pages also where it is small: rows of A lie 2 or 4 KiB apart.
static csimd_status take_scratch(csimd_attention_call *call, size_t floats, int threads) {
    const size_t huge_page = (size_t)2 << 20;
    call->scratch_floats = csimd_round_up(floats, 1024);
    const size_t bytes = (size_t)threads * call->scratch_floats * sizeof(float);
    call->scratch = csimd_scratch(CSIMD_SCRATCH_A, bytes < huge_page ? huge_page : bytes);
    return call->scratch == NULL ? CSIMD_OUT_OF_MEMORY : CSIMD_OK;
}

csimd_status csimd_attention(const csimd_attention_args *args, csimd_heads o, void *log_sum_exp) {
    if (!is_valid(args) || !is_operand(o, args->type, args->batch, args->heads, args->queries, args->head_size))
        return CSIMD_INVALID_ARGUMENT;
    if (args->batch == 0 || args->heads == 0 || args->queries == 0) return CSIMD_OK;
    if (log_sum_exp == NULL) return CSIMD_INVALID_ARGUMENT;
    csimd_attention_call call = {.kernels = kernels_for(args), .args = args, .o = o, .log_sum_exp = log_sum_exp, .parts = 1};
    const size_t tasks = args->batch * args->key_heads;
    const int threads = csimd_threads_for(2 * work_of(args), grain);
    if (call.kernels->products != NULL) {
        if (reads_in_place(args))  // k and v are widened in registers: memory is the bound
            call.kernels = csimd_kernels()->attention;
        else if (tasks % (size_t)threads != 0)
            call.parts = (size_t)threads;
        const size_t floats = reads_in_place(args) ? csimd_attention_few_floats(call.kernels, args)
                                                   : csimd_attention_forward_floats(call.kernels, args);
        if (take_scratch(&call, floats, threads) != CSIMD_OK) return CSIMD_OUT_OF_MEMORY;
    }
    csimd_run_tasks(tasks * call.parts, threads, run_forward, &call);
    return CSIMD_OK;
}

csimd_status csimd_attention_gradient(const csimd_attention_args *args, csimd_heads o, const void *log_sum_exp,
                                      csimd_heads o_gradient, csimd_heads q_gradient, csimd_heads k_gradient,
                                      csimd_heads v_gradient) {
    const csimd_type type = args->type;
    if (!is_valid(args)) return CSIMD_INVALID_ARGUMENT;
    const csimd_heads of_queries[3] = {o, o_gradient, q_gradient}, of_keys[2] = {k_gradient, v_gradient};
    for (int i = 0; i < 3; i++)
        if (!is_operand(of_queries[i], type, args->batch, args->heads, args->queries, args->head_size))
            return CSIMD_INVALID_ARGUMENT;
    for (int i = 0; i < 2; i++)
        if (!is_operand(of_keys[i], type, args->batch, args->key_heads, args->keys, args->head_size))
            return CSIMD_INVALID_ARGUMENT;
    if (args->batch == 0 || args->heads == 0) return CSIMD_OK;
    if (log_sum_exp == NULL && args->queries > 0) return CSIMD_INVALID_ARGUMENT;
    csimd_attention_call call = {.kernels = kernels_for(args),
                                 .args = args,
                                 .o = o,
                                 .o_gradient = o_gradient,
                                 .q_gradient = q_gradient,
                                 .k_gradient = k_gradient,
                                 .v_gradient = v_gradient,
                                 .log_sum_exp = (float *)(uintptr_t)log_sum_exp,
                                 .parts = 1};
    const int threads = csimd_threads_for(5 * work_of(args), grain);
    if (call.kernels->products != NULL &&
        take_scratch(&call, csimd_attention_backward_floats(call.kernels, args), threads) != CSIMD_OK)
        return CSIMD_OUT_OF_MEMORY;
    csimd_run_tasks(args->batch * args->key_heads, threads, run_backward, &call);
    return CSIMD_OK;
}
