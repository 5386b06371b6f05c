// Drivers of the batchnorm family: chunks of rows are tasks; what is summed over them is combined in order, in float64.
#include "batchnorm.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scalar16.h"
#include "../support/scratch.h"

static const double elements_worth_a_thread = 2e4;

typedef struct {
    const csimd_batchnorm_kernels *kernels;
    csimd_type type, wide;
    size_t rows, channels, chunks;  // rows and chunks of an instance
    const void *x, *dy, *mean, *scale, *shift, *constant;
    bool relu;
    void *y;
    char *first, *second;  // per chunk, [instances, chunks, channels]
} job;

static const csimd_batchnorm_kernels *kernels_for(csimd_type type) {
    return type == CSIMD_F64 ? &csimd_batchnorm_kernels_ref : csimd_kernels()->batchnorm;
}

static char *at(csimd_type type, const void *x, size_t index) {
    return x == NULL ? NULL : (char *)(uintptr_t)x + index * csimd_type_size(type);
}

// Chunk `task` of all: its rows begin at element `first`.
typedef struct {
    size_t instance, rows, first;
} chunk;

static chunk chunk_of(const job *j, size_t task) {
    const size_t instance = task / j->chunks, row = task % j->chunks * csimd_batchnorm_chunk;
    return (chunk){instance, csimd_minimum(j->rows - row, csimd_batchnorm_chunk), (instance * j->rows + row) * j->channels};
}

static void moments_of_chunk(void *context, size_t task, size_t worker) {
    (void)worker;
    const job *j = context;
    const chunk c = chunk_of(j, task);
    j->kernels->moments(j->type, c.rows, j->channels, at(j->type, j->x, c.first), at(j->wide, j->first, task * j->channels),
                        at(j->wide, j->second, task * j->channels));
}

static void apply_to_chunk(void *context, size_t task, size_t worker) {
    (void)worker;
    const job *j = context;
    const chunk c = chunk_of(j, task);
    const size_t own = c.instance * j->channels;
    j->kernels->apply(j->type, c.rows, j->channels, at(j->type, j->x, c.first), at(j->wide, j->mean, own),
                      at(j->wide, j->scale, own), at(j->wide, j->shift, own), j->relu, at(j->type, j->y, c.first));
}

static void products_of_chunk(void *context, size_t task, size_t worker) {
    (void)worker;
    const job *j = context;
    const chunk c = chunk_of(j, task);
    j->kernels->products(j->type, c.rows, j->channels, at(j->type, j->x, c.first), at(j->type, j->dy, c.first),
                         at(j->wide, j->mean, c.instance * j->channels), at(j->wide, j->first, task * j->channels),
                         at(j->wide, j->second, task * j->channels));
}

static void gradient_of_chunk(void *context, size_t task, size_t worker) {
    (void)worker;
    const job *j = context;
    const chunk c = chunk_of(j, task);
    const size_t own = c.instance * j->channels;
    j->kernels->gradient(j->type, c.rows, j->channels, at(j->type, j->x, c.first), at(j->type, j->dy, c.first),
                         at(j->wide, j->mean, own), at(j->wide, j->scale, own), at(j->wide, j->shift, own),
                         at(j->wide, j->constant, own), at(j->type, j->y, c.first));
}

static job make(csimd_type type, size_t rows, size_t channels) {
    return (job){.kernels = kernels_for(type),
                 .type = type,
                 .wide = csimd_batchnorm_type(type),
                 .rows = rows,
                 .channels = channels,
                 .chunks = (rows + csimd_batchnorm_chunk - 1) / csimd_batchnorm_chunk};
}

static void run(job *j, size_t instances, csimd_task task) {
    const double work = (double)instances * (double)j->rows * (double)j->channels;
    csimd_run_tasks(instances * j->chunks, csimd_threads_for(work, elements_worth_a_thread), task, j);
}

static bool take_chunk_sums(job *j, size_t instances) {
    const size_t bytes = csimd_round_up(instances * j->chunks * j->channels * csimd_type_size(j->wide), CSIMD_ALIGNMENT);
    j->first = csimd_scratch(CSIMD_SCRATCH_A, 2 * bytes);
    j->second = j->first == NULL ? NULL : j->first + bytes;
    return j->first != NULL;
}

csimd_status csimd_moments(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x, void *mean,
                           void *variance) {
    if (!csimd_type_valid(type) || rows == 0) return CSIMD_INVALID_ARGUMENT;
    job j = make(type, rows, channels);
    j.x = x;
    if (!take_chunk_sums(&j, instances)) return CSIMD_OUT_OF_MEMORY;
    run(&j, instances, moments_of_chunk);
    for (size_t i = 0; i < instances * channels; i++) {
        // Two sets of n and m values: their difference of means d adds d^2 n m / (n + m) to the squares (Chan et al.).
        double count = 0, middle = 0, squares = 0;
        for (size_t k = 0; k < j.chunks; k++) {
            const size_t from = (i / channels * j.chunks + k) * channels + i % channels;
            const double more = (double)csimd_minimum(rows - k * csimd_batchnorm_chunk, csimd_batchnorm_chunk);
            const double difference = csimd_load_f64(j.wide, j.first, from) - middle;
            squares += csimd_load_f64(j.wide, j.second, from) + difference * difference * count * more / (count + more);
            count += more;
            middle += difference * more / count;
        }
        csimd_store_f64(j.wide, mean, i, middle);
        csimd_store_f64(j.wide, variance, i, squares / count);
    }
    return CSIMD_OK;
}

csimd_status csimd_normalize(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x, const void *mean,
                             const void *scale, const void *shift, bool relu, void *y) {
    if (!csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    job j = make(type, rows, channels);
    j.x = x;
    j.mean = mean;
    j.scale = scale;
    j.shift = shift;
    j.relu = relu;
    j.y = y;
    run(&j, instances, apply_to_chunk);
    return CSIMD_OK;
}

csimd_status csimd_normalize_sums(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x,
                                  const void *dy, const void *mean, void *sum, void *product) {
    if (!csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    job j = make(type, rows, channels);
    j.x = x;
    j.dy = dy;
    j.mean = mean;
    if (!take_chunk_sums(&j, instances)) return CSIMD_OUT_OF_MEMORY;
    run(&j, instances, products_of_chunk);
    for (size_t i = 0; i < instances * channels; i++) {
        double total = 0, moment = 0;
        for (size_t k = 0; k < j.chunks; k++) {
            const size_t from = (i / channels * j.chunks + k) * channels + i % channels;
            total += csimd_load_f64(j.wide, j.first, from);
            moment += csimd_load_f64(j.wide, j.second, from);
        }
        csimd_store_f64(j.wide, sum, i, total);
        csimd_store_f64(j.wide, product, i, moment);
    }
    return CSIMD_OK;
}

csimd_status csimd_normalize_gradient(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x,
                                      const void *dy, const void *mean, const void *a, const void *b, const void *k, void *dx) {
    if (!csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    job j = make(type, rows, channels);
    j.x = x;
    j.dy = dy;
    j.mean = mean;
    j.scale = a;
    j.shift = b;
    j.constant = k;
    j.y = dx;
    run(&j, instances, gradient_of_chunk);
    return CSIMD_OK;
}
