// Drivers of csimd_integer_binary, csimd_integer_reduce and csimd_integer_argmax: checks and threads. Sums are modulo 2^64, so
// that their order changes nothing.
#include "loops.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

static const double elements_a_thread = 131072;

enum { share_multiple = 64, parts_a_thread = 4, block_columns = 512, most_parts = 64 };

typedef struct {
    const csimd_loops_kernels *kernels;
    csimd_binary_op op;
    csimd_element type;
    size_t size, count, parts;
    const char *a, *b;
    char *y;
} arithmetic_call;

static void arithmetic_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const arithmetic_call *c = context;
    size_t begin, end;
    csimd_share(c->count, share_multiple, part, c->parts, &begin, &end);
    c->kernels->arithmetic(c->op, c->type, end - begin, c->a + begin * c->size, c->b + begin * c->size, c->y + begin * c->size);
}

csimd_status csimd_integer_binary(csimd_binary_op op, csimd_element type, size_t count, const void *a, const void *b, void *y) {
    if ((unsigned)op > CSIMD_MINIMUM || !csimd_is_integer(type)) return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    const int threads = csimd_threads_for((double)count, elements_a_thread);
    const size_t parts = threads == 1 ? 1 : (size_t)threads * parts_a_thread;
    arithmetic_call all = {csimd_kernels()->loops, op, type, csimd_element_size(type), count, parts, a, b, y};
    csimd_run_tasks(parts, threads, arithmetic_part, &all);
    return CSIMD_OK;
}

typedef struct {
    const csimd_loops_kernels *kernels;
    csimd_reduce_op op;
    csimd_element type;
    size_t size, count, inner, blocks, parts;
    const char *x;
    int64_t *y;
    int64_t part[most_parts];
} reduction;

// Block `task` of the results.
static void reduce_block(void *context, size_t task, size_t worker) {
    (void)worker;
    reduction *r = context;
    const size_t i = task / r->blocks, begin = task % r->blocks * block_columns;
    const size_t columns = csimd_minimum(block_columns, r->inner - begin);
    const char *x = r->x + (i * r->count * r->inner + begin) * r->size;
    int64_t *y = r->y + i * r->inner + begin;
    if (r->inner == 1) {
        *y = r->kernels->reduce_row(r->op, r->type, r->count, x);
        return;
    }
    for (size_t k = 0; k < columns; k++) y[k] = r->op == CSIMD_SUM ? 0 : INT64_MIN;
    r->kernels->reduce_columns(r->op, r->type, r->count, columns, r->inner, x, y);
}

// A part of one long row.
static void reduce_part(void *context, size_t part, size_t worker) {
    (void)worker;
    reduction *r = context;
    size_t begin, end;
    csimd_share(r->count, share_multiple, part, r->parts, &begin, &end);
    r->part[part] = r->kernels->reduce_row(r->op, r->type, end - begin, r->x + begin * r->size);
}

csimd_status csimd_integer_reduce(csimd_reduce_op op, csimd_element type, size_t outer, size_t count, size_t inner,
                                  const void *x, int64_t *y) {
    if ((unsigned)op > CSIMD_MAX || !csimd_is_integer(type)) return CSIMD_INVALID_ARGUMENT;
    if (outer == 0 || inner == 0) return CSIMD_OK;
    const int threads = csimd_threads_for((double)outer * (double)count * (double)inner, elements_a_thread);
    reduction r = {.kernels = csimd_kernels()->loops,
                   .op = op,
                   .type = type,
                   .size = csimd_element_size(type),
                   .count = count,
                   .inner = inner,
                   .blocks = (inner + block_columns - 1) / block_columns,
                   .parts = csimd_minimum(most_parts, (size_t)threads * parts_a_thread),
                   .x = x,
                   .y = y};
    if (threads == 1 || outer * inner > 1) {
        csimd_run_tasks(outer * r.blocks, threads, reduce_block, &r);
        return CSIMD_OK;
    }
    csimd_run_tasks(r.parts, threads, reduce_part, &r);
    *y = r.kernels->reduce_row(op, CSIMD_I64, r.parts, r.part);
    return CSIMD_OK;
}

static int64_t element(csimd_element type, const void *x, size_t i) {
    if (type == CSIMD_I32) return ((const int32_t *)x)[i];
    if (type == CSIMD_I64) return ((const int64_t *)x)[i];
    return ((const uint8_t *)x)[i];
}

static void argmax_columns(csimd_element type, size_t count, size_t columns, size_t row_stride, const void *x, int64_t *y) {
    int64_t best[block_columns];
    for (size_t k = 0; k < columns; k++) {
        best[k] = element(type, x, k);
        y[k] = 0;
    }
    for (size_t j = 1; j < count; j++)
        for (size_t k = 0; k < columns; k++) {
            const int64_t value = element(type, x, j * row_stride + k);
            if (value <= best[k]) continue;
            best[k] = value;
            y[k] = (int64_t)j;
        }
}

static void argmax_block(void *context, size_t task, size_t worker) {
    (void)worker;
    reduction *r = context;
    const size_t i = task / r->blocks, begin = task % r->blocks * block_columns;
    const char *x = r->x + (i * r->count * r->inner + begin) * r->size;
    int64_t *y = r->y + i * r->inner + begin;
    if (r->inner != 1) {
        argmax_columns(r->type, r->count, csimd_minimum(block_columns, r->inner - begin), r->inner, x, y);
        return;
    }
    const int64_t best = r->kernels->reduce_row(CSIMD_MAX, r->type, r->count, x);
    size_t at = 0;
    while (element(r->type, x, at) != best) at++;
    *y = (int64_t)at;
}

csimd_status csimd_integer_argmax(csimd_element type, size_t outer, size_t count, size_t inner, const void *x, int64_t *y) {
    if (!csimd_is_integer(type) || count == 0) return CSIMD_INVALID_ARGUMENT;
    if (outer == 0 || inner == 0) return CSIMD_OK;
    reduction r = {.kernels = csimd_kernels()->loops,
                   .type = type,
                   .size = csimd_element_size(type),
                   .count = count,
                   .inner = inner,
                   .blocks = (inner + block_columns - 1) / block_columns,
                   .x = x,
                   .y = y};
    const int threads = csimd_threads_for((double)outer * (double)count * (double)inner, elements_a_thread);
    csimd_run_tasks(outer * r.blocks, threads, argmax_block, &r);
    return CSIMD_OK;
}
