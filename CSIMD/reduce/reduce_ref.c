// Reference row: sums in float64, in eight interleaved partial sums (an addition's latency would otherwise bound float64
// arrays, which every row reduces here).
#include "reduce.h"

#include "../support/scalar16.h"

enum { lanes = 8 };

static double sum_of_lanes(const double *lane) {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static double sum_row(csimd_type type, size_t count, const void *x) {
    double lane[lanes] = {0};
    size_t i = 0;
    if (type == CSIMD_F64)
        for (; i + lanes <= count; i += lanes)
            for (size_t l = 0; l < lanes; l++) lane[l] += ((const double *)x)[i + l];
    for (; i < count; i++) lane[i % lanes] += csimd_load_f64(type, x, i);
    return sum_of_lanes(lane);
}

static double max_row(csimd_type type, size_t count, const void *x) {
    double lane[lanes], best = -INFINITY;
    for (size_t l = 0; l < lanes; l++) lane[l] = -INFINITY;
    size_t i = 0;
    if (type == CSIMD_F64)
        for (; i + lanes <= count; i += lanes)
            for (size_t l = 0; l < lanes; l++) lane[l] = csimd_nan_maximum(lane[l], ((const double *)x)[i + l]);
    for (; i < count; i++) lane[i % lanes] = csimd_nan_maximum(lane[i % lanes], csimd_load_f64(type, x, i));
    for (size_t l = 0; l < lanes; l++) best = csimd_nan_maximum(best, lane[l]);
    return best;
}

static void sum_columns(csimd_type type, size_t rows, size_t columns, size_t row_stride, const void *x, double *result) {
    for (size_t k = 0; k < columns; k++) result[k] = 0;
    for (size_t j = 0; j < rows; j++)
        for (size_t k = 0; k < columns; k++) result[k] += csimd_load_f64(type, x, j * row_stride + k);
}

static void max_columns(csimd_type type, size_t rows, size_t columns, size_t row_stride, const void *x, double *result) {
    for (size_t k = 0; k < columns; k++) result[k] = -INFINITY;
    for (size_t j = 0; j < rows; j++)
        for (size_t k = 0; k < columns; k++)
            result[k] = csimd_nan_maximum(result[k], csimd_load_f64(type, x, j * row_stride + k));
}

static size_t find(csimd_type type, size_t count, const void *x, double value) {
    for (size_t i = 0; i < count; i++) {
        double element = csimd_load_f64(type, x, i);
        if (value == value ? element == value : element != element) return i;
    }
    return count;
}

static double power(csimd_norm norm, double magnitude) {
    switch (norm) {
    case CSIMD_NORM_2:
        return magnitude * magnitude;
    case CSIMD_NORM_3:
        return magnitude * magnitude * magnitude;
    case CSIMD_NORM_1:
    case CSIMD_NORM_INFINITY:
        return magnitude;
    }
    return NAN;
}

static size_t finite_check(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum) {
    double lane[lanes] = {0}, largest = 0;
    size_t first = count;
    for (size_t i = 0; i < count; i++) {
        double magnitude = fabs(csimd_load_f64(type, x, i));
        if (norm == CSIMD_NORM_INFINITY)
            largest = csimd_nan_maximum(largest, magnitude);
        else
            lane[i % lanes] += power(norm, magnitude);
        if (!isfinite(magnitude) && first == count) first = i;
    }
    *power_sum = norm == CSIMD_NORM_INFINITY ? largest : sum_of_lanes(lane);
    return first;
}

const csimd_reduce_kernels csimd_reduce_kernels_ref = {
    .sum_row = sum_row,
    .max_row = max_row,
    .sum_columns = sum_columns,
    .max_columns = max_columns,
    .find = find,
    .finite_check = finite_check,
};
