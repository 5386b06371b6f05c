// The reference row: the formulas in float64 for every type, rounded once to float32 and once more where the result is 16 bit.
// It is also the row that serves float64.
#include "softmax.h"

#include "../support/scalar16.h"

static double load(csimd_type type, const void *x, size_t index) {
    return type == CSIMD_F64 ? ((const double *)x)[index] : (double)csimd_load_f32(type, x, index);
}

static void store(csimd_type type, void *y, size_t index, double value) {
    if (type == CSIMD_F64)
        ((double *)y)[index] = value;
    else
        csimd_store_f32(type, y, index, (float)value);
}

typedef struct {
    double maximum, log_sum;  // log sum_j exp(x_j - maximum)
} distribution;

// By halves, so that roundings grow with the logarithm of the count.
static double sum_of_exponentials(csimd_type type, const void *x, size_t start, size_t count, double maximum) {
    if (count > 16) {
        const size_t half = count / 2;
        return sum_of_exponentials(type, x, start, half, maximum) +
               sum_of_exponentials(type, x, start + half, count - half, maximum);
    }
    double sum = 0;
    for (size_t j = start; j < start + count; j++) sum += exp(load(type, x, j) - maximum);
    return sum;
}

// A row of only -inf, or with +inf or NaN, has no distribution: inf - inf makes log_sum NaN.
static distribution distribution_of(csimd_type type, size_t columns, const void *x, size_t start) {
    double maximum = -INFINITY;
    for (size_t j = 0; j < columns; j++) {
        double value = load(type, x, start + j);
        if (value > maximum) maximum = value;
    }
    return (distribution){maximum, log(sum_of_exponentials(type, x, start, columns, maximum))};
}

static void softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        distribution row = distribution_of(type, columns, x, start);
        for (size_t j = start; j < start + columns; j++) store(type, y, j, exp((load(type, x, j) - row.maximum) - row.log_sum));
    }
}

static void log_softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        distribution row = distribution_of(type, columns, x, start);
        for (size_t j = start; j < start + columns; j++) store(type, y, j, (load(type, x, j) - row.maximum) - row.log_sum);
    }
}

static void softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        double sum = 0;
        for (size_t j = start; j < start + columns; j++) sum += load(type, dy, j) * load(type, y, j);
        for (size_t j = start; j < start + columns; j++) store(type, dx, j, load(type, y, j) * (load(type, dy, j) - sum));
    }
}

static void log_softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        double sum = 0;
        for (size_t j = start; j < start + columns; j++) sum += load(type, dy, j);
        for (size_t j = start; j < start + columns; j++) store(type, dx, j, load(type, dy, j) - exp(load(type, y, j)) * sum);
    }
}

static double class_weight(const csimd_nll_args *args, size_t column) {
    return args->class_weights == NULL ? 1 : (double)args->class_weights[column];
}

// A term of weight 0 does not count, whatever its probability is.
static double weighted(double weight, double negative_log_p) { return weight == 0 ? 0 : weight * negative_log_p; }

static void nll_forward(const csimd_nll_args *args, double weight_total, void *row_loss, void *log_sum_exp, double *loss_sum,
                        double *weight_sum) {
    (void)weight_total;
    const csimd_type result = csimd_softmax_accumulation_type(args->type);
    const double smoothing = args->label_smoothing;
    *loss_sum = 0;
    *weight_sum = 0;
    for (size_t i = 0; i < args->rows; i++) {
        const size_t start = i * args->columns;
        distribution row = distribution_of(args->type, args->columns, args->logits, start);
        store(result, log_sum_exp, i, row.maximum + row.log_sum);
        double loss = 0;
        if (args->targets[i] != args->ignore_index) {
            const size_t target = (size_t)args->targets[i];
            const double weight = class_weight(args, target);
            loss = weighted((1 - smoothing) * weight,
                            row.log_sum - (load(args->type, args->logits, start + target) - row.maximum));
            if (smoothing > 0)
                for (size_t c = 0; c < args->columns; c++)
                    loss += weighted(smoothing / (double)args->columns * class_weight(args, c),
                                     row.log_sum - (load(args->type, args->logits, start + c) - row.maximum));
            *weight_sum += weight;
        }
        if (result == CSIMD_F32) loss = (float)loss;
        *loss_sum += loss;
        if (row_loss != NULL) store(result, row_loss, i, loss);
    }
}

// The row's distribution is formed again instead of trusting the rounded log_sum_exp, which is off by up to u |log_sum_exp|.
static void nll_backward(const csimd_nll_args *args, double weight_total, const void *log_sum_exp, const void *row_scale,
                         double scale, void *gradient) {
    const csimd_type result = csimd_softmax_accumulation_type(args->type);
    const double smoothing = args->label_smoothing;
    for (size_t i = 0; i < args->rows; i++) {
        const size_t start = i * args->columns;
        if (args->targets[i] == args->ignore_index) {
            for (size_t j = start; j < start + args->columns; j++) store(args->type, gradient, j, 0);
            continue;
        }
        const size_t target = (size_t)args->targets[i];
        const double g = scale * (row_scale == NULL ? 1 : load(result, row_scale, i));
        const double on_target = (1 - smoothing) * class_weight(args, target), everywhere = smoothing / (double)args->columns;
        const bool counts = g * (on_target + everywhere * weight_total) != 0 || g * everywhere != 0;
        distribution row = distribution_of(args->type, args->columns, args->logits, start);
        if (isnan(load(result, log_sum_exp, i))) row.log_sum = NAN;
        for (size_t c = 0; c < args->columns; c++) {
            double p = exp((load(args->type, args->logits, start + c) - row.maximum) - row.log_sum);
            double slope = p * (on_target + everywhere * weight_total);
            if (smoothing > 0) slope -= everywhere * class_weight(args, c);
            if (c == target) slope -= on_target;
            store(args->type, gradient, start + c, counts ? g * slope : 0);
        }
    }
}

static void nll_both(const csimd_nll_args *args, double weight_total, void *row_loss, void *log_sum_exp, double *loss_sum,
                     double *weight_sum, double scale, void *gradient, float *exps) {
    (void)exps;
    nll_forward(args, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum);
    nll_backward(args, weight_total, log_sum_exp, NULL, scale, gradient);
}

const csimd_softmax_kernels csimd_softmax_kernels_ref = {
    .softmax = softmax,
    .log_softmax = log_softmax,
    .softmax_gradient = softmax_gradient,
    .log_softmax_gradient = log_softmax_gradient,
    .nll_forward = nll_forward,
    .nll_backward = nll_backward,
    .nll_both = nll_both,
};
