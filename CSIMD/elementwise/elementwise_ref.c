// Reference row: the formulas in double with libm, rounded to float32 and then to the storage type (float64: not at all).
// Every row uses it for float64. Sums, products, quotients and square roots of float32 values that are rounded from double to
// float32 are the correctly rounded ones, so they agree bit for bit with float32 arithmetic.
#include "elementwise.h"

#include "../support/scalar16.h"

#define INLINE static inline __attribute__((always_inline))

static double sigmoid(double x) {
    if (x < 0) return exp(x) / (1 + exp(x));
    return 1 / (1 + exp(-x));
}

static double normal_distribution(double x) { return 0.5 * erfc(-x * 0.70710678118654752440); }
static double normal_density(double x) { return 0.39894228040143267794 * exp(-0.5 * x * x); }

// The limits of x s(x) and of the gradients' second terms, where the formulas would give infinity times zero.
static double gelu(double x) { return x == -INFINITY ? -0.0 : x * normal_distribution(x); }
static double silu(double x) { return x == -INFINITY ? -0.0 : x * sigmoid(x); }
static double gelu_gradient(double x) { return isinf(x) ? x > 0 : normal_distribution(x) + x * normal_density(x); }
static double silu_gradient(double x) { return isinf(x) ? x > 0 : sigmoid(x) * (1 + x * sigmoid(-x)); }

// The tanh form of gelu is x s(w).
static double gelu_tanh_argument(double x) { return 1.5957691216057307 * (x + 0.044715 * x * x * x); }
static double gelu_tanh(double x) { return x == -INFINITY ? -0.0 : x * sigmoid(gelu_tanh_argument(x)); }
static double gelu_tanh_gradient(double x) {
    if (fabs(x) > 100) return x > 0;  // further away the cubes are infinite
    const double w = gelu_tanh_argument(x), slope = 1.5957691216057307 * (1 + 0.134145 * x * x);
    return sigmoid(w) * (1 + x * slope * sigmoid(-w));
}

// b times a derivative that may be infinite: 0 where b is 0, but NaN where a is.
static double chained(double a, double b, double product) { return b == 0 ? (isnan(a) ? a : b) : product; }

INLINE double apply_unary(csimd_unary_op op, double x, double p, double q) {
    switch (op) {
    case CSIMD_NEGATE:
        return -x;
    case CSIMD_ABS:
        return fabs(x);
    case CSIMD_EXP:
        return exp(x);
    case CSIMD_LOG:
        return log(x);
    case CSIMD_SQRT:
        return sqrt(x);
    case CSIMD_TANH:
        return tanh(x);
    case CSIMD_SIGMOID:
        return sigmoid(x);
    case CSIMD_RELU:
        return x < 0 ? 0 : x;
    case CSIMD_GELU:
        return gelu(x);
    case CSIMD_GELU_TANH:
        return gelu_tanh(x);
    case CSIMD_SILU:
        return silu(x);
    case CSIMD_CLAMP: {
        double raised = p > x ? p : x;
        return q < raised ? q : raised;
    }
    case CSIMD_POWER:
        return pow(x, p);
    case CSIMD_DIVIDE_BY:
        return x / p;
    case CSIMD_DIVIDE_INTO:
        return p / x;
    case CSIMD_SCALE_SHIFT:
        return fma(x, p, q);
    }
    return NAN;
}

// Powers that one or two operations compute, within two ulps.
INLINE double short_power(double x, double p) {
    if (p == 1) return x;
    if (p == 2) return x * x;
    if (p == 3) return x * x * x;
    if (p == -1) return 1 / x;
    if (p == -2) return (1 / x) * (1 / x);                        // x * x may be subnormal
    const double root = x == -INFINITY ? INFINITY : sqrt(x + 0);  // of -0: 0
    return p == 0.5 ? root : 1 / root;
}

#define SHORT_POWERS(exponent)                                                                                                 \
    if (p == exponent) {                                                                                                       \
        for (size_t i = 0; i < count; i++) y[i] = short_power(x[i], exponent);                                                 \
        return;                                                                                                                \
    }

static void power_f64(size_t count, const double *x, double p, double *y) {
    SHORT_POWERS(1)
    SHORT_POWERS(2)
    SHORT_POWERS(3)
    SHORT_POWERS(0.5)
    SHORT_POWERS(-0.5)
    SHORT_POWERS(-1)
    SHORT_POWERS(-2)
    for (size_t i = 0; i < count; i++) y[i] = pow(x[i], p);
}

INLINE void unary_loop(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y) {
    if (type == CSIMD_F64) {
        for (size_t i = 0; i < count; i++) ((double *)y)[i] = apply_unary(op, ((const double *)x)[i], p, q);
        return;
    }
    const float p32 = (float)p, q32 = (float)q;
    for (size_t i = 0; i < count; i++) {
        float value = csimd_load_f32(type, x, i);
        float result;
        if (op == CSIMD_SCALE_SHIFT)
            result = fmaf(value, p32, q32);
        else if (op == CSIMD_POWER)
            result = (float)pow(value, p);
        else
            result = (float)apply_unary(op, value, p32, q32);
        csimd_store_f32(type, y, i, result);
    }
}

static void unary(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y, bool stream) {
    (void)stream;
    if (op == CSIMD_POWER && type == CSIMD_F64) {
        power_f64(count, x, p, y);
        return;
    }
    switch (op) {
    case CSIMD_NEGATE:
        unary_loop(CSIMD_NEGATE, type, count, x, p, q, y);
        return;
    case CSIMD_ABS:
        unary_loop(CSIMD_ABS, type, count, x, p, q, y);
        return;
    case CSIMD_SQRT:
        unary_loop(CSIMD_SQRT, type, count, x, p, q, y);
        return;
    case CSIMD_RELU:
        unary_loop(CSIMD_RELU, type, count, x, p, q, y);
        return;
    case CSIMD_CLAMP:
        unary_loop(CSIMD_CLAMP, type, count, x, p, q, y);
        return;
    case CSIMD_SCALE_SHIFT:
        unary_loop(CSIMD_SCALE_SHIFT, type, count, x, p, q, y);
        return;
    default:
        unary_loop(op, type, count, x, p, q, y);
        return;
    }
}

INLINE double apply_binary(csimd_binary_op op, double a, double b) {
    switch (op) {
    case CSIMD_ADD:
        return a + b;
    case CSIMD_SUBTRACT:
        return a - b;
    case CSIMD_MULTIPLY:
        return a * b;
    case CSIMD_DIVIDE:
        return a / b;
    case CSIMD_MAXIMUM:
        return isnan(a) || a > b ? a : b;
    case CSIMD_MINIMUM:
        return isnan(a) || a < b ? a : b;
    case CSIMD_EXP_GRADIENT:
        return chained(a, b, b * exp(0.5 * a) * exp(0.5 * a));  // e^a may be infinite where b e^a is not
    case CSIMD_LOG_GRADIENT:
        return chained(a, b, b / a);
    case CSIMD_SQRT_GRADIENT:
        return chained(a, b, 0.5 * b / fabs(a));
    case CSIMD_POWER_GRADIENT:
        return chained(a, b, b * a);
    case CSIMD_TANH_GRADIENT:
        return b * ((1 - a) * (1 + a));  // the rounding of a * a would be large beside 1 - a * a
    case CSIMD_SIGMOID_GRADIENT:
        return b * (a * (1 - a));
    case CSIMD_RELU_GRADIENT:
        return a > 0 ? b : 0;
    case CSIMD_GELU_GRADIENT:
        return b * gelu_gradient(a);
    case CSIMD_GELU_TANH_GRADIENT:
        return b * gelu_tanh_gradient(a);
    case CSIMD_SILU_GRADIENT:
        return b * silu_gradient(a);
    case CSIMD_ABS_GRADIENT:
        return a > 0 ? b : a < 0 ? -b : 0;
    case CSIMD_SILU_MULTIPLY:
        return silu(a) * b;
    }
    return NAN;
}

INLINE void binary_loop(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                        void *y) {
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            size_t at_a = i * a.row_stride + j * a.column_stride, at_b = i * b.row_stride + j * b.column_stride;
            size_t at_y = i * columns + j;
            if (type == CSIMD_F64) {
                ((double *)y)[at_y] = apply_binary(op, ((const double *)a.base)[at_a], ((const double *)b.base)[at_b]);
            } else {
                double result = apply_binary(op, csimd_load_f32(type, a.base, at_a), csimd_load_f32(type, b.base, at_b));
                csimd_store_f32(type, y, at_y, (float)result);
            }
        }
    }
}

static void binary(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b, void *y,
                   bool stream) {
    (void)stream;
    switch (op) {
    case CSIMD_ADD:
        binary_loop(CSIMD_ADD, type, rows, columns, a, b, y);
        return;
    case CSIMD_SUBTRACT:
        binary_loop(CSIMD_SUBTRACT, type, rows, columns, a, b, y);
        return;
    case CSIMD_MULTIPLY:
        binary_loop(CSIMD_MULTIPLY, type, rows, columns, a, b, y);
        return;
    case CSIMD_DIVIDE:
        binary_loop(CSIMD_DIVIDE, type, rows, columns, a, b, y);
        return;
    default:
        binary_loop(op, type, rows, columns, a, b, y);
        return;
    }
}

// In float32, float64 for that.
static void sum_arrays(const csimd_sum *sum, size_t at, size_t count, void *y) {
    for (size_t j = 0; j < count; j++) {
        double total = sum->accumulate ? csimd_load_f64(sum->y_type, y, j) : csimd_load_f64(sum->type, sum->x[0], at + j);
        for (size_t t = sum->accumulate ? 0 : 1; t < sum->terms; t++) {
            total += csimd_load_f64(sum->type, sum->x[t], at + j);
            if (sum->type != CSIMD_F64) total = (float)total;  // as a sum in float32 is rounded
        }
        csimd_store_f64(sum->y_type, y, j, total);
    }
}

static void silu_multiply_gradient(csimd_type type, size_t count, const void *gate, const void *x, const void *dy,
                                   void *gate_gradient, void *x_gradient) {
    for (size_t i = 0; i < count; i++) {
        const double g = csimd_load_f64(type, gate, i), d = csimd_load_f64(type, dy, i);
        const double of_gate = gate_gradient == NULL ? 0 : d * silu_gradient(g) * csimd_load_f64(type, x, i);
        if (gate_gradient != NULL) csimd_store_f64(type, gate_gradient, i, of_gate);
        if (x_gradient != NULL) csimd_store_f64(type, x_gradient, i, d * silu(g));
    }
}

const csimd_elementwise_kernels csimd_elementwise_kernels_ref = {
    .unary = unary, .binary = binary, .sum_arrays = sum_arrays, .silu_multiply_gradient = silu_multiply_gradient};
