// Driver of csimd_finite_check: chunks of fixed length, their power sums added (or their maxima compared) in order.
#include "reduce.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

static const double elements_a_thread = 131072;

typedef struct {
    double sum;
    size_t first;
} chunk_result;

typedef struct {
    const csimd_reduce_kernels *kernels;
    csimd_type type;
    csimd_norm norm;
    size_t count;
    const void *x;
    chunk_result *results;
} check;

static chunk_result check_chunk(const check *c, size_t chunk) {
    const size_t begin = chunk * csimd_finite_chunk, length = csimd_minimum(csimd_finite_chunk, c->count - begin);
    const void *x = (const char *)c->x + begin * csimd_type_size(c->type);
    chunk_result result;
    const size_t first = c->kernels->finite_check(c->type, c->norm, length, x, &result.sum);
    result.first = first < length ? begin + first : c->count;
    return result;
}

static void store_chunk(void *context, size_t chunk, size_t worker) {
    (void)worker;
    const check *c = context;
    c->results[chunk] = check_chunk(c, chunk);
}

csimd_status csimd_finite_check(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum,
                                size_t *first_non_finite) {
    if (!csimd_type_valid(type) || (unsigned)norm > CSIMD_NORM_INFINITY) return CSIMD_INVALID_ARGUMENT;
    check c = {csimd_kernels()->reduce, type, norm, count, x, NULL};
    const size_t chunks = (count + csimd_finite_chunk - 1) / csimd_finite_chunk;
    const int threads = csimd_threads_for((double)count, elements_a_thread);
    if (threads > 1) c.results = csimd_scratch(CSIMD_SCRATCH_A, chunks * sizeof(chunk_result));
    if (c.results != NULL) csimd_run_tasks(chunks, threads, store_chunk, &c);
    double sum = 0;
    size_t first = count;
    for (size_t chunk = 0; chunk < chunks; chunk++) {
        const chunk_result result = c.results != NULL ? c.results[chunk] : check_chunk(&c, chunk);
        sum = norm == CSIMD_NORM_INFINITY ? csimd_nan_maximum(sum, result.sum) : sum + result.sum;
        first = csimd_minimum(first, result.first);
    }
    *power_sum = sum;
    *first_non_finite = first;
    return CSIMD_OK;
}
