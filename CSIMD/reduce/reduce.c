// Driver of csimd_reduce: sums and maxima over the middle axis of [outer, count, inner]. The axis is cut into chunks; a chunk's
// result is float32 sums (or maxima) widened to double, and chunks are combined in double in order. Threads share the results,
// or, where there are too few of those, the chunks: the same numbers are then combined in the same order from scratch memory.
#include "reduce.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scalar16.h"
#include "../support/scratch.h"

static const double elements_a_thread = 131072;

enum { block_columns = 512 };  // columns that a thread reduces at a time: their doubles fit on its stack

typedef struct {
    const csimd_reduce_kernels *kernels;
    csimd_reduce_op op;
    csimd_type type, y_type;
    size_t outer, count, inner, chunk, chunks, blocks;
    const void *x;
    void *y;
    double scale;
    bool accumulate;
    double *parts;  // of all chunks, [outer, chunks, inner], where threads share those; else NULL
} reduction;

// result[k] = chunk `chunk` of x[i, :, begin + k], k < columns.
static void reduce_chunk(const csimd_reduce_kernels *kernels, const reduction *r, size_t i, size_t chunk, size_t begin,
                         size_t columns, double *result) {
    const size_t first = chunk * r->chunk, length = csimd_minimum(r->chunk, r->count - first);
    const size_t element = (i * r->count + first) * r->inner + begin;
    const void *x = (const char *)r->x + element * csimd_type_size(r->type);
    if (r->inner == 1)
        *result = (r->op == CSIMD_SUM ? kernels->sum_row : kernels->max_row)(r->type, length, x);
    else
        (r->op == CSIMD_SUM ? kernels->sum_columns : kernels->max_columns)(r->type, length, columns, r->inner, x, result);
}

static void combine(const reduction *r, size_t columns, double *total, const double *part) {
    for (size_t k = 0; k < columns; k++)
        total[k] = r->op == CSIMD_SUM ? total[k] + part[k] : csimd_nan_maximum(total[k], part[k]);
}

// scale times the sum of x[i, :, k] of float64, of terms so small that their sum does not overflow where the result does not.
static double scaled_sum(const reduction *r, size_t i, size_t k) {
    const double *x = r->x;
    double sum = 0;
    for (size_t j = 0; j < r->count; j++) sum += x[(i * r->count + j) * r->inner + k] * 0x1p-64;
    return sum * r->scale * 0x1p64;
}

static void write_results(const reduction *r, size_t i, size_t begin, size_t columns, const double *total) {
    for (size_t k = 0; k < columns; k++) {
        const size_t at = i * r->inner + begin + k;
        double result = total[k];
        if (r->op == CSIMD_SUM) {
            result = r->type == CSIMD_F64 && !isfinite(result) ? scaled_sum(r, i, begin + k) : result * r->scale;
            if (r->accumulate) result += csimd_load_f64(r->y_type, r->y, at);
        }
        csimd_store_f64(r->y_type, r->y, at, result);
    }
}

// An exponent of all ones carries into the sign: integer arithmetic, which compilers vectorise as a sum of float64 is not.
static bool are_finite(size_t count, const double *x) {
    const uint64_t exponent = UINT64_C(0x7FF0000000000000), one = UINT64_C(0x0010000000000000);
    uint64_t carries = 0;
    for (size_t k = 0; k < count; k++) {
        uint64_t bits;
        memcpy(&bits, x + k, sizeof bits);
        carries |= (bits & exponent) + one;
    }
    return carries >> 63 == 0;
}

// Block `task` of the results.
static void reduce_block(void *context, size_t task, size_t worker) {
    (void)worker;
    const reduction *r = context;
    const size_t i = task / r->blocks, begin = task % r->blocks * block_columns;
    const size_t columns = csimd_minimum(block_columns, r->inner - begin);
    double total[block_columns], part[block_columns];
    for (size_t k = 0; k < columns; k++) total[k] = r->op == CSIMD_SUM ? 0 : -INFINITY;
    for (size_t chunk = 0; chunk < r->chunks; chunk++) {
        if (r->parts != NULL) {
            combine(r, columns, total, r->parts + (i * r->chunks + chunk) * r->inner + begin);
        } else {
            reduce_chunk(r->kernels, r, i, chunk, begin, columns, part);
            combine(r, columns, total, part);
        }
    }
    if (r->op == CSIMD_SUM && r->type != CSIMD_F64 && !are_finite(columns, total)) {
        // float32 partial sums may have overflowed: again in float64.
        for (size_t k = 0; k < columns; k++) total[k] = 0;
        for (size_t chunk = 0; chunk < r->chunks; chunk++) {
            reduce_chunk(&csimd_reduce_kernels_ref, r, i, chunk, begin, columns, part);
            combine(r, columns, total, part);
        }
    }
    write_results(r, i, begin, columns, total);
}

static void reduce_unit(void *context, size_t unit, size_t worker) {
    (void)worker;
    const reduction *r = context;
    reduce_chunk(r->kernels, r, unit / r->chunks, unit % r->chunks, 0, r->inner, r->parts + unit * r->inner);
}

csimd_status csimd_reduce(csimd_reduce_op op, csimd_type type, size_t outer, size_t count, size_t inner, const void *x,
                          double scale, bool accumulate, csimd_type y_type, void *y) {
    if ((unsigned)op > CSIMD_MAX || !csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    if (y_type != type && (y_type != CSIMD_F32 || type == CSIMD_F64)) return CSIMD_INVALID_ARGUMENT;
    if (outer == 0 || inner == 0) return CSIMD_OK;
    const size_t chunk = inner == 1 ? csimd_reduce_row_chunk : csimd_reduce_column_chunk;
    reduction r = {.kernels = csimd_kernels()->reduce,
                   .op = op,
                   .type = type,
                   .y_type = y_type,
                   .outer = outer,
                   .count = count,
                   .inner = inner,
                   .chunk = chunk,
                   .chunks = (count + chunk - 1) / chunk,
                   .blocks = (inner + block_columns - 1) / block_columns,
                   .x = x,
                   .y = y,
                   .scale = scale,
                   .accumulate = accumulate};
    const size_t tasks = outer * r.blocks;
    int threads = csimd_threads_for((double)outer * (double)count * (double)inner, elements_a_thread);
    if (threads > 1 && tasks < (size_t)threads && r.chunks > 1) {
        r.parts = csimd_scratch(CSIMD_SCRATCH_A, outer * r.chunks * inner * sizeof(double));
        if (r.parts != NULL) {
            csimd_run_tasks(outer * r.chunks, threads, reduce_unit, &r);
            threads = 1;  // what is left is short
        }
    }
    csimd_run_tasks(tasks, threads, reduce_block, &r);
    return CSIMD_OK;
}
