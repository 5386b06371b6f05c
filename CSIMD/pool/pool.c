// Pooling's drivers: which pixels each window has, and which windows have a pixel, axis by axis. Rows of the result are the
// tasks; every element of a result is one sum or maximum in a fixed order, so threads change no bit.
#include "pool.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

static const double elements_worth_a_thread = 2e4;

// One axis: window i is pixels begin[i] ..< end[i] and would begin at start[i] without edges; pixel p is in windows first[p]
// ..< last[p].
typedef struct {
    size_t size, windows, most_pixels, most_windows, least_windows;
    size_t *begin, *end, *first, *last;
    ptrdiff_t *start;
} axis;

typedef struct {
    const csimd_pool_shape *shape;
    const csimd_pool_kernels *kernels;
    axis rows, columns;
    const void *x, *y;
    void *out;
    uint16_t *places;
    char *workers;
    size_t worker_bytes, most;
} pool;

static size_t *take(size_t **memory, size_t count) {
    size_t *taken = *memory;
    *memory += count;
    return taken;
}

static axis axis_of(csimd_pool_kind kind, size_t size, size_t windows, size_t kernel, size_t stride, size_t padding,
                    size_t **memory) {
    axis a = {.size = size, .windows = windows, .least_windows = SIZE_MAX};
    a.begin = take(memory, windows);
    a.end = take(memory, windows);
    a.start = (ptrdiff_t *)take(memory, windows);
    a.first = take(memory, size);
    a.last = take(memory, size);
    for (size_t i = 0; i < windows; i++) {
        if (kind == CSIMD_POOL_ADAPTIVE) {
            a.begin[i] = i * size / windows;
            a.end[i] = ((i + 1) * size + windows - 1) / windows;
            a.start[i] = (ptrdiff_t)a.begin[i];
        } else {
            a.start[i] = (ptrdiff_t)(i * stride) - (ptrdiff_t)padding;
            a.begin[i] = a.start[i] < 0 ? 0 : (size_t)a.start[i];
            a.end[i] = csimd_minimum((size_t)(a.start[i] + (ptrdiff_t)kernel), size);
        }
        if (a.end[i] - a.begin[i] > a.most_pixels) a.most_pixels = a.end[i] - a.begin[i];
    }
    for (size_t p = 0, low = 0, high = 0; p < size; p++) {  // begins and ends ascend
        while (low < windows && a.end[low] <= p) low++;
        while (high < windows && a.begin[high] <= p) high++;
        a.first[p] = low;
        a.last[p] = high > low ? high : low;
        const size_t count = a.last[p] - a.first[p];
        if (count > a.most_windows) a.most_windows = count;
        if (count < a.least_windows) a.least_windows = count;
    }
    return a;
}

static bool is_axis(csimd_pool_kind kind, size_t size, size_t windows, size_t kernel, size_t stride, size_t padding) {
    if (size == 0 || windows == 0) return false;
    if (kind == CSIMD_POOL_ADAPTIVE) return true;
    if (kernel == 0 || stride == 0 || padding > kernel / 2 || size + 2 * padding < kernel) return false;
    return windows == (size + 2 * padding - kernel) / stride + 1;
}

static bool is_valid(const csimd_pool_shape *s, csimd_pool_kind kind) {
    return csimd_type_valid(s->type) &&
           is_axis(kind, s->height, s->output_height, s->kernel_height, s->stride_height, s->padding_height) &&
           is_axis(kind, s->width, s->output_width, s->kernel_width, s->stride_width, s->padding_width);
}

static const void *at(csimd_type type, const void *x, size_t index) {
    return x == NULL ? NULL : (const char *)x + index * csimd_type_size(type);
}

// What a pixel counts for in an average.
static double weight_of(const pool *p, size_t i, size_t j) {
    const csimd_pool_shape *s = p->shape;
    if (s->kind == CSIMD_POOL_AVERAGE && s->counts_padding) return 1 / (double)(s->kernel_height * s->kernel_width);
    return 1 / ((double)(p->rows.end[i] - p->rows.begin[i]) * (double)(p->columns.end[j] - p->columns.begin[j]));
}

static float place_of(const pool *p, size_t i, size_t j, size_t y, size_t x) {
    const size_t u = (size_t)((ptrdiff_t)y - p->rows.start[i]), v = (size_t)((ptrdiff_t)x - p->columns.start[j]);
    return (float)(u * p->shape->kernel_width + v);
}

typedef struct {
    size_t *at;
    float *place;
    double *weight;
} lists;

static lists lists_of(const pool *p, size_t worker) {
    char *memory = p->workers + worker * p->worker_bytes;
    return (lists){(size_t *)(void *)memory, (float *)(void *)(memory + 2 * p->most * sizeof(double)),
                   (double *)(void *)(memory + p->most * sizeof(double))};
}

// The pixels of window (i, j), as distances from the first one of image `image`.
static size_t list_pixels(const pool *p, size_t image, size_t i, size_t j, lists l) {
    const csimd_pool_shape *s = p->shape;
    size_t count = 0;
    for (size_t y = p->rows.begin[i]; y < p->rows.end[i]; y++)
        for (size_t x = p->columns.begin[j]; x < p->columns.end[j]; x++, count++) {
            l.at[count] = ((image * s->height + y) * s->width + x) * s->channels;
            l.place[count] = s->kind == CSIMD_POOL_MAX ? place_of(p, i, j, y, x) : 0;
            l.weight[count] = 1;
        }
    return count;
}

// The windows that have pixel (y, x).
static size_t list_windows(const pool *p, size_t image, size_t y, size_t x, lists l) {
    const csimd_pool_shape *s = p->shape;
    size_t count = 0;
    for (size_t i = p->rows.first[y]; i < p->rows.last[y]; i++)
        for (size_t j = p->columns.first[x]; j < p->columns.last[x]; j++, count++) {
            l.at[count] = ((image * s->output_height + i) * s->output_width + j) * s->channels;
            l.place[count] = s->kind == CSIMD_POOL_MAX ? place_of(p, i, j, y, x) : 0;
            l.weight[count] = weight_of(p, i, j);
        }
    return count;
}

static void forward_row(void *context, size_t row, size_t worker) {
    const pool *p = context;
    const csimd_pool_shape *s = p->shape;
    const lists l = lists_of(p, worker);
    for (size_t j = 0; j < s->output_width; j++) {
        const size_t count = list_pixels(p, row / s->output_height, row % s->output_height, j, l);
        const size_t to = (row * s->output_width + j) * s->channels;
        void *y = (void *)(uintptr_t)at(s->type, p->out, to);
        if (s->kind == CSIMD_POOL_MAX)
            p->kernels->max_window(s->type, s->channels, count, l.at, l.place, p->x, y, p->places + to);
        else
            p->kernels->weighted_sum(s->type, s->channels, count, l.at, l.weight, weight_of(p, row % s->output_height, j), p->x,
                                     y);
    }
}

// Windows that tile the image: each writes its own pixels.
static void scatter_row(void *context, size_t row, size_t worker) {
    const pool *p = context;
    const csimd_pool_shape *s = p->shape;
    const lists l = lists_of(p, worker);
    for (size_t j = 0; j < s->output_width; j++) {
        const size_t count = list_pixels(p, row / s->output_height, row % s->output_height, j, l);
        const size_t from = (row * s->output_width + j) * s->channels;
        p->kernels->max_scatter(s->type, s->channels, count, l.at, l.place, at(s->type, p->x, from), at(s->type, p->y, from),
                                p->places + from, p->out);
    }
}

static void gather_row(void *context, size_t row, size_t worker) {
    const pool *p = context;
    const csimd_pool_shape *s = p->shape;
    const lists l = lists_of(p, worker);
    for (size_t x = 0; x < s->width; x++) {
        const size_t count = list_windows(p, row / s->height, row % s->height, x, l);
        void *dx = (void *)(uintptr_t)at(s->type, p->out, (row * s->width + x) * s->channels);
        if (s->kind == CSIMD_POOL_MAX)
            p->kernels->max_gather(s->type, s->channels, count, l.at, l.place, p->x, p->y, p->places, dx);
        else
            p->kernels->weighted_sum(s->type, s->channels, count, l.at, l.weight, 1, p->x, dx);
    }
}

static csimd_status run(pool *p, bool backward) {
    const csimd_pool_shape *s = p->shape;
    p->kernels = s->type == CSIMD_F64 ? &csimd_pool_kernels_ref : csimd_kernels()->pool;
    size_t *memory = csimd_scratch(CSIMD_SCRATCH_B,
                                   (3 * (s->output_height + s->output_width) + 2 * (s->height + s->width)) * sizeof(size_t));
    if (memory == NULL) return CSIMD_OUT_OF_MEMORY;
    p->rows = axis_of(s->kind, s->height, s->output_height, s->kernel_height, s->stride_height, s->padding_height, &memory);
    p->columns = axis_of(s->kind, s->width, s->output_width, s->kernel_width, s->stride_width, s->padding_width, &memory);
    const bool tiles = s->kind == CSIMD_POOL_MAX && p->rows.least_windows == 1 && p->rows.most_windows == 1 &&
                       p->columns.least_windows == 1 && p->columns.most_windows == 1;
    const bool gathers = backward && !tiles;
    p->most = gathers ? p->rows.most_windows * p->columns.most_windows : p->rows.most_pixels * p->columns.most_pixels;
    if (p->most == 0) p->most = 1;
    const double work = (double)s->batch * (double)s->height * (double)s->width * (double)s->channels;
    const int threads = csimd_threads_for(work, elements_worth_a_thread);
    p->worker_bytes = csimd_round_up(p->most * (2 * sizeof(double) + sizeof(float)), CSIMD_ALIGNMENT);
    p->workers = csimd_scratch(CSIMD_SCRATCH_A, (size_t)threads * p->worker_bytes);
    if (p->workers == NULL) return CSIMD_OUT_OF_MEMORY;
    const size_t tasks = s->batch * (gathers ? s->height : s->output_height);
    csimd_run_tasks(tasks, threads, !backward ? forward_row : gathers ? gather_row : scatter_row, p);
    return CSIMD_OK;
}

csimd_status csimd_max_pool(const csimd_pool_shape *s, const void *x, void *y, uint16_t *places) {
    if (s->kind != CSIMD_POOL_MAX || !is_valid(s, s->kind)) return CSIMD_INVALID_ARGUMENT;
    if (s->kernel_height > CSIMD_POOL_AREA || s->kernel_width > CSIMD_POOL_AREA / s->kernel_height)
        return CSIMD_INVALID_ARGUMENT;
    pool p = {.shape = s, .x = x, .out = y, .places = places};
    return run(&p, false);
}

csimd_status csimd_max_pool_gradient(const csimd_pool_shape *s, const void *dy, const uint16_t *places, const void *y,
                                     void *dx) {
    if (s->kind != CSIMD_POOL_MAX || !is_valid(s, s->kind)) return CSIMD_INVALID_ARGUMENT;
    pool p = {.shape = s, .x = dy, .y = y, .out = dx, .places = (uint16_t *)(uintptr_t)places};
    return run(&p, true);
}

csimd_status csimd_average_pool(const csimd_pool_shape *s, const void *x, void *y) {
    if (s->kind == CSIMD_POOL_MAX || !is_valid(s, s->kind)) return CSIMD_INVALID_ARGUMENT;
    pool p = {.shape = s, .x = x, .out = y};
    return run(&p, false);
}

csimd_status csimd_average_pool_gradient(const csimd_pool_shape *s, const void *dy, void *dx) {
    if (s->kind == CSIMD_POOL_MAX || !is_valid(s, s->kind)) return CSIMD_INVALID_ARGUMENT;
    pool p = {.shape = s, .x = dy, .out = dx};
    return run(&p, true);
}
