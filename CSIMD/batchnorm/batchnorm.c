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
    size_t rows, channels, chunks;  // rows and chunks of an instance, whose first elements are `stride` apart
    size_t stride;
    const void *x, *dy, *mean, *scale, *shift, *constant;
    bool relu;
    void *y;
    char *center, *first, *second;  // per chunk, [instances, chunks, channels]
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
    return (chunk){instance, csimd_minimum(j->rows - row, csimd_batchnorm_chunk), instance * j->stride + row * j->channels};
}

static void moments_of_chunk(void *context, size_t task, size_t worker) {
    (void)worker;
    const job *j = context;
    const chunk c = chunk_of(j, task);
    j->kernels->moments(j->type, c.rows, j->channels, at(j->type, j->x, c.first), at(j->wide, j->center, task * j->channels),
                        at(j->wide, j->first, task * j->channels), at(j->wide, j->second, task * j->channels));
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
                 .stride = rows * channels,
                 .chunks = (rows + csimd_batchnorm_chunk - 1) / csimd_batchnorm_chunk};
}

static void run(job *j, size_t instances, csimd_task task) {
    const double work = (double)instances * (double)j->rows * (double)j->channels;
    csimd_run_tasks(instances * j->chunks, csimd_threads_for(work, elements_worth_a_thread), task, j);
}

static bool take_chunk_sums(job *j, size_t instances) {
    const size_t bytes = csimd_round_up(instances * j->chunks * j->channels * csimd_type_size(j->wide), CSIMD_ALIGNMENT);
    j->first = csimd_scratch(CSIMD_SCRATCH_A, 3 * bytes);
    j->second = j->first == NULL ? NULL : j->first + bytes;
    j->center = j->first == NULL ? NULL : j->first + 2 * bytes;
    return j->first != NULL;
}

// Statistics of `count` values: mean = base + middle, squares the sum of the squared differences from it.
typedef struct {
    double base, count, middle, squares;
} column;

// Adds `more` values of mean center + rest and of squared differences from the center: a difference of means d adds
// d^2 n m / (n + m) to the squares of sets of n and m values (Chan et al.). Means count from the base, so that a large one
// costs the difference no digits.
static void add_values(column *total, double more, double center, double rest, double squares) {
    const double own = squares - rest * rest * more;
    const double difference = center - total->base + rest - total->middle, count = total->count + more;
    total->squares += (own < 0 ? 0 : own) + difference * difference * (total->count * more / count);
    total->middle += difference * (more / count);
    total->count = count;
}

// Column c of an instance whose x begins at element `first`, as chunks of `fold` columns for each one, one for each in turn of
// `fold` rows, and the rows that are left.
static column combined(const job *j, size_t instance, size_t c, size_t fold, size_t rows) {
    const size_t channels = j->channels / fold, begin = instance * j->stride;
    column total = {.base = csimd_load_f64(j->type, j->x, begin + c)};
    for (size_t k = 0; k < j->chunks; k++) {
        const double more = (double)csimd_minimum(j->rows - k * csimd_batchnorm_chunk, csimd_batchnorm_chunk);
        for (size_t turn = 0; turn < fold; turn++) {
            const size_t from = (instance * j->chunks + k) * j->channels + turn * channels + c;
            add_values(&total, more, csimd_load_f64(j->wide, j->center, from), csimd_load_f64(j->wide, j->first, from),
                       csimd_load_f64(j->wide, j->second, from));
        }
    }
    for (size_t i = j->rows * fold; i < rows; i++)
        add_values(&total, 1, csimd_load_f64(j->type, j->x, begin + i * channels + c), 0, 0);
    return total;
}

// The same of unit x in float64 throughout.
static column exact_column(const job *j, size_t begin, size_t channels, size_t rows, double unit) {
    column total = {.base = csimd_load_f64(j->type, j->x, begin) * unit};
    for (size_t i = 0; i < rows; i++) add_values(&total, 1, csimd_load_f64(j->type, j->x, begin + i * channels) * unit, 0, 0);
    return total;
}

csimd_status csimd_moments(csimd_type type, size_t instances, size_t rows, size_t channels, const void *x, double epsilon,
                           double *mean, double *correction, double *variance) {
    if (!csimd_type_valid(type) || rows == 0 || !(epsilon >= 0)) return CSIMD_INVALID_ARGUMENT;
    // Lanes are channels: where those are few, several rows are one of the kernel's.
    const size_t fold = channels == 0 || channels >= 16 ? 1 : csimd_minimum(16 / channels, rows);
    job j = make(type, rows / fold, channels * fold);
    j.x = x;
    j.stride = rows * channels;
    if (!take_chunk_sums(&j, instances)) return CSIMD_OUT_OF_MEMORY;
    run(&j, instances, moments_of_chunk);
    for (size_t i = 0; i < instances * channels; i++) {
        column total = combined(&j, i / channels, i % channels, fold, rows);
        const bool is_finite = isfinite(total.squares), is_f64 = type == CSIMD_F64;
        const double unit = is_f64 && !is_finite ? 0x1p-600 : 1;
        if (!is_finite || (!is_f64 && total.squares + epsilon * total.count < 0x1p-100 * total.count))
            total = exact_column(&j, i / channels * j.stride + i % channels, channels, rows, unit);
        mean[i] = (total.base + total.middle) / unit;
        if (!is_f64) mean[i] = (double)(float)mean[i];
        correction[i] = (total.base - mean[i] * unit + total.middle) / unit;
        variance[i] = total.squares / total.count / unit / unit;
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
