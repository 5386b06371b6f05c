// Reference row of the norms: the formulas in double, rounded to the storage type; it also serves float64 for every row.
#include "norm.h"

#include "../support/scalar16.h"

static double at(csimd_type type, const void *x, size_t index, double otherwise) {
    return x == NULL ? otherwise : csimd_load_f64(type, x, index);
}

static void forward(const csimd_row_norm_args *g, void *y, void *mean, void *inverse_deviation) {
    const csimd_type statistics = csimd_norm_statistics_type(g->type);
    for (size_t i = 0; i < g->rows; i++) {
        const size_t start = i * g->columns;
        double center = 0, squares = 0;
        if (g->kind == CSIMD_LAYER_NORM) {
            for (size_t j = 0; j < g->columns; j++) center += csimd_load_f64(g->type, g->x, start + j);
            center /= (double)g->columns;
            csimd_store_f64(statistics, mean, i, center);
        }
        for (size_t j = 0; j < g->columns; j++) {
            const double distance = csimd_load_f64(g->type, g->x, start + j) - center;
            squares += distance * distance;
        }
        const double inverse = 1 / sqrt(squares / (double)g->columns + g->epsilon);
        csimd_store_f64(statistics, inverse_deviation, i, inverse);
        for (size_t j = 0; j < g->columns; j++) {
            const double normal = (csimd_load_f64(g->type, g->x, start + j) - center) * inverse;
            csimd_store_f64(g->type, y, start + j, normal * at(g->type, g->weight, j, 1) + at(g->type, g->bias, j, 0));
        }
    }
}

static void backward(const csimd_row_norm_args *g, const void *mean, const void *inverse_deviation, const void *dy, void *dx,
                     void *weight_sums, void *bias_sums) {
    const csimd_type statistics = csimd_norm_statistics_type(g->type);
    const double count = (double)g->columns;
    for (size_t i = 0; i < g->rows; i++) {
        const size_t start = i * g->columns;
        const double center = g->kind == CSIMD_LAYER_NORM ? csimd_load_f64(statistics, mean, i) : 0;
        const double inverse = csimd_load_f64(statistics, inverse_deviation, i);
        double slope_sum = 0, product_sum = 0;
        for (size_t j = 0; j < g->columns; j++) {
            const double normal = (csimd_load_f64(g->type, g->x, start + j) - center) * inverse;
            const double d = csimd_load_f64(g->type, dy, start + j), slope = d * at(g->type, g->weight, j, 1);
            slope_sum += slope;
            product_sum += slope * normal;
            if (weight_sums != NULL)
                csimd_store_f64(statistics, weight_sums, j, csimd_load_f64(statistics, weight_sums, j) + d * normal);
            if (bias_sums != NULL) csimd_store_f64(statistics, bias_sums, j, csimd_load_f64(statistics, bias_sums, j) + d);
        }
        if (g->kind == CSIMD_RMS_NORM) slope_sum = 0;
        for (size_t j = 0; dx != NULL && j < g->columns; j++) {
            const double normal = (csimd_load_f64(g->type, g->x, start + j) - center) * inverse;
            const double slope = csimd_load_f64(g->type, dy, start + j) * at(g->type, g->weight, j, 1);
            csimd_store_f64(g->type, dx, start + j, inverse * (slope - slope_sum / count - normal * (product_sum / count)));
        }
    }
}

const csimd_norm_kernels csimd_norm_kernels_ref = {.forward = forward, .backward = backward};
