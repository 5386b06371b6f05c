// Reference batch normalisation, element by element; sums in float64.
#include "batchnorm.h"

#include "../support/scalar16.h"

static void store(csimd_type type, void *y, size_t index, double value) {
    if (type == CSIMD_F64)
        csimd_store_f64(type, y, index, value);
    else
        csimd_store_f32(type, y, index, (float)value);
}

static void moments(csimd_type type, size_t rows, size_t channels, const void *x, void *center, void *rest, void *squares) {
    const csimd_type wide = csimd_batchnorm_type(type);
    for (size_t c = 0; c < channels; c++) {
        const double origin = csimd_load_f64(type, x, c);
        double distance = 0, total = 0;
        for (size_t i = 0; i < rows; i++) distance += csimd_load_f64(type, x, i * channels + c) - origin;
        distance /= (double)rows;
        store(wide, center, c, origin + distance);
        const double middle = csimd_load_f64(wide, center, c);
        for (size_t i = 0; i < rows; i++) {
            const double d = csimd_load_f64(type, x, i * channels + c) - middle;
            total += d * d;
        }
        store(wide, rest, c, origin - middle + distance);
        store(wide, squares, c, total);
    }
}

static void apply(csimd_type type, size_t rows, size_t channels, const void *x, const void *mean, const void *scale,
                  const void *shift, bool relu, void *y) {
    const csimd_type wide = csimd_batchnorm_type(type);
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < channels; c++) {
            const double d = csimd_load_f64(type, x, i * channels + c) - csimd_load_f64(wide, mean, c);
            const double z = d * csimd_load_f64(wide, scale, c) + csimd_load_f64(wide, shift, c);
            store(type, y, i * channels + c, relu && z < 0 ? 0 : z);
        }
}

static void products(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const void *mean, void *sum,
                     void *product) {
    const csimd_type wide = csimd_batchnorm_type(type);
    for (size_t c = 0; c < channels; c++) {
        double total = 0, moment = 0;
        for (size_t i = 0; i < rows; i++) {
            const double gradient = csimd_load_f64(type, dy, i * channels + c);
            total += gradient;
            moment += gradient * (csimd_load_f64(type, x, i * channels + c) - csimd_load_f64(wide, mean, c));
        }
        store(wide, sum, c, total);
        store(wide, product, c, moment);
    }
}

static void gradient(csimd_type type, size_t rows, size_t channels, const void *x, const void *dy, const void *mean,
                     const void *a, const void *b, const void *k, void *dx) {
    const csimd_type wide = csimd_batchnorm_type(type);
    for (size_t i = 0; i < rows; i++)
        for (size_t c = 0; c < channels; c++) {
            const double d = csimd_load_f64(type, x, i * channels + c) - csimd_load_f64(wide, mean, c);
            store(type, dx, i * channels + c,
                  csimd_load_f64(wide, a, c) * csimd_load_f64(type, dy, i * channels + c) + csimd_load_f64(wide, b, c) * d +
                      csimd_load_f64(wide, k, c));
        }
}

const csimd_batchnorm_kernels csimd_batchnorm_kernels_ref = {
    .moments = moments,
    .apply = apply,
    .products = products,
    .gradient = gradient,
};
