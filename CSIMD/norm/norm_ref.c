// Reference row of the norms: the formulas in float64, rounded to the storage type; it also serves float64 for every row, and
// single rows whose statistics are beyond float32.
#include "norm.h"

#include "../support/scalar16.h"

static double at(csimd_type type, const void *x, size_t index, double otherwise) {
    return x == NULL ? otherwise : csimd_load_f64(type, x, index);
}

typedef struct {
    double first, second;
} moments;

// Sums of d and d^2, d = unit x - origin, over the row that begins at element `start`.
static moments moments_about(double origin, double unit, const csimd_row_norm_args *g, size_t start) {
    moments sum = {0, 0};
    for (size_t j = 0; j < g->columns; j++) {
        const double d = csimd_load_f64(g->type, g->x, start + j) * unit - origin;
        sum.first += d;
        sum.second += d * d;
    }
    return sum;
}

// The statistics of unit times a row: of its deviation and not yet of epsilon in `inverse`.
static csimd_row_statistics measure(const csimd_row_norm_args *g, size_t start, double unit) {
    const double count = (double)g->columns;
    csimd_row_statistics s = {.unit = unit};
    if (g->kind == CSIMD_LAYER_NORM) {
        const double origin = csimd_load_f64(g->type, g->x, start) * unit;
        s.center = origin + moments_about(origin, unit, g, start).first / count;
        if (g->type != CSIMD_F64) s.center = (double)(float)s.center;
    }
    const moments sum = moments_about(s.center, unit, g, start);
    if (g->kind == CSIMD_LAYER_NORM) s.correction = sum.first / count;
    const double variance = sum.second / count - s.correction * s.correction;
    s.inverse = variance < 0 ? 0 : variance;
    return s;
}

// The power of two that brings a row's squares into float64's range: 1 for all rows but some of float64.
static double unit_of(const csimd_row_norm_args *g, size_t start) {
    double largest = 0;
    for (size_t j = 0; j < g->columns; j++) largest = fmax(largest, fabs(csimd_load_f64(g->type, g->x, start + j)));
    return largest == 0 || !isfinite(largest) ? 1 : largest > 1 ? 0x1p-600 : 0x1p600;
}

static csimd_row_statistics statistics_of(const csimd_row_norm_args *g, size_t start) {
    csimd_row_statistics s = measure(g, start, 1);
    if (!(isfinite(s.inverse) && s.inverse + g->epsilon >= 0x1p-900)) {
        const double unit = unit_of(g, start);
        if (unit != 1) s = measure(g, start, unit);
    }
    if (s.unit == 1)
        s.inverse = 1 / sqrt(s.inverse + g->epsilon);
    else
        s.inverse = 1 / (hypot(sqrt(s.inverse) / s.unit, sqrt(g->epsilon)) * s.unit);
    return s;
}

void csimd_norm_forward_row(const csimd_row_norm_args *g, size_t row, void *y, csimd_row_statistics *statistics) {
    const size_t start = row * g->columns;
    const csimd_row_statistics s = statistics[row] = statistics_of(g, start);
    for (size_t j = 0; j < g->columns; j++) {
        const double normal = csimd_normalized(csimd_load_f64(g->type, g->x, start + j), &s);
        csimd_store_f64(g->type, y, start + j, normal * at(g->type, g->weight, j, 1) + at(g->type, g->bias, j, 0));
    }
}

static void forward(const csimd_row_norm_args *g, void *y, csimd_row_statistics *statistics) {
    for (size_t i = 0; i < g->rows; i++) csimd_norm_forward_row(g, i, y, statistics);
}

static void add(csimd_type type, void *sums, size_t index, double value) {
    if (sums != NULL) csimd_store_f64(type, sums, index, csimd_load_f64(type, sums, index) + value);
}

// Means over a row of the slopes g = dy weight and of g n, each times `unit`, and of the squares of the former.
typedef struct {
    double slope, product, square;
} slope_means;

static slope_means means_of(const csimd_row_norm_args *g, size_t start, const csimd_row_statistics *s, const void *dy,
                            double unit) {
    slope_means mean = {0, 0, 0};
    for (size_t j = 0; j < g->columns; j++) {
        const double slope = csimd_load_f64(g->type, dy, start + j) * unit * at(g->type, g->weight, j, 1);
        mean.slope += slope;
        mean.product += slope * csimd_normalized(csimd_load_f64(g->type, g->x, start + j), s);
        mean.square += slope * slope;
    }
    const double count = (double)g->columns;
    return (slope_means){g->kind == CSIMD_RMS_NORM ? 0 : mean.slope / count, mean.product / count, mean.square / count};
}

void csimd_norm_backward_row(const csimd_row_norm_args *g, size_t row, const csimd_row_statistics *statistics, const void *dy,
                             void *dx, void *weight_sums, void *bias_sums) {
    const csimd_type sum_type = csimd_norm_sum_type(g->type);
    const csimd_row_statistics *s = statistics + row;
    const size_t start = row * g->columns;
    for (size_t j = 0; j < g->columns; j++) {
        const double d = csimd_load_f64(g->type, dy, start + j);
        add(sum_type, weight_sums, j, d * csimd_normalized(csimd_load_f64(g->type, g->x, start + j), s));
        add(sum_type, bias_sums, j, d);
    }
    if (dx == NULL) return;
    double unit = 1;
    slope_means mean = means_of(g, start, s, dy, unit);
    if (!isfinite(mean.square)) mean = means_of(g, start, s, dy, unit = 0x1p-600);
    for (size_t j = 0; j < g->columns; j++) {
        const double normal = csimd_normalized(csimd_load_f64(g->type, g->x, start + j), s);
        const double slope = csimd_load_f64(g->type, dy, start + j) * unit * at(g->type, g->weight, j, 1);
        csimd_store_f64(g->type, dx, start + j, (slope - mean.slope - normal * mean.product) * s->inverse * s->unit / unit);
    }
}

static void backward(const csimd_row_norm_args *g, const csimd_row_statistics *statistics, const void *dy, void *dx,
                     void *weight_sums, void *bias_sums) {
    for (size_t i = 0; i < g->rows; i++) csimd_norm_backward_row(g, i, statistics, dy, dx, weight_sums, bias_sums);
}

const csimd_norm_kernels csimd_norm_kernels_ref = {.forward = forward, .backward = backward};
