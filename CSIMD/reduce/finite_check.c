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

static chunk_result check_chunk(const csimd_reduce_kernels *kernels, csimd_type type, csimd_norm norm, size_t count,
                                const void *x, size_t chunk) {
    const size_t begin = chunk * csimd_finite_chunk, length = csimd_minimum(csimd_finite_chunk, count - begin);
    chunk_result result;
    const size_t first =
        kernels->finite_check(type, norm, length, (const char *)x + begin * csimd_type_size(type), &result.sum);
    result.first = first < length ? begin + first : count;
    return result;
}

csimd_status csimd_finite_check(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum,
                                size_t *first_non_finite) {
    if (!csimd_type_valid(type) || (unsigned)norm > CSIMD_NORM_INFINITY) return CSIMD_INVALID_ARGUMENT;
    const csimd_reduce_kernels *kernels = csimd_kernels()->reduce;
    const size_t chunks = (count + csimd_finite_chunk - 1) / csimd_finite_chunk;
    const int threads = csimd_threads_for((double)count, elements_a_thread);
    chunk_result *results = threads > 1 ? csimd_scratch(CSIMD_SCRATCH_A, chunks * sizeof(chunk_result)) : NULL;
    if (results != NULL) {
#pragma omp parallel num_threads(threads)
        {
            size_t chunk, end;
            csimd_share(chunks, 1, omp_get_thread_num(), omp_get_num_threads(), &chunk, &end);
            for (; chunk < end; chunk++) results[chunk] = check_chunk(kernels, type, norm, count, x, chunk);
        }
    }
    double sum = 0;
    size_t first = count;
    for (size_t chunk = 0; chunk < chunks; chunk++) {
        const chunk_result result = results != NULL ? results[chunk] : check_chunk(kernels, type, norm, count, x, chunk);
        sum = norm == CSIMD_NORM_INFINITY ? csimd_nan_maximum(sum, result.sum) : sum + result.sum;
        first = csimd_minimum(first, result.first);
    }
    *power_sum = sum;
    *first_non_finite = first;
    return CSIMD_OK;
}
