// Reference convolution: the formulas, element by element. Sums are float64; results of f32, f16 and bf16 pass through float32.
#include "conv.h"

#include "../support/scalar16.h"

static double apply(csimd_epilogue epilogue, double z, double aux) {
    const double x = epilogue == CSIMD_EPILOGUE_GELU ? z : aux;
    const double cumulative = 0.5 * erfc(-x * M_SQRT1_2);
    const double density = 0.5 * M_SQRT1_2 * M_2_SQRTPI * exp(-0.5 * x * x);
    switch (epilogue) {
    case CSIMD_EPILOGUE_NONE:
        return z;
    case CSIMD_EPILOGUE_RELU:
        return z < 0 ? 0 : z;
    case CSIMD_EPILOGUE_RELU_GRADIENT:
        return aux > 0 ? z : 0;
    case CSIMD_EPILOGUE_GELU:
        return x == -INFINITY ? 0 : x * cumulative;
    case CSIMD_EPILOGUE_GELU_GRADIENT:
        return z * (cumulative + (isinf(x) ? 0 : x * density));
    }
    return z;
}

static void finish(const csimd_conv_args *args, size_t at, size_t channel, double sum) {
    double z = args->y_type == CSIMD_F64 ? sum : (float)sum, aux = 0;
    if (args->bias != NULL) z += csimd_load_f64(args->bias_type, args->bias, channel);
    if (args->y_type != CSIMD_F64) z = (float)z;
    if (args->epilogue == CSIMD_EPILOGUE_GELU && args->aux != NULL) csimd_store_f64(args->aux_type, args->aux, at, z);
    if (args->epilogue >= CSIMD_EPILOGUE_RELU_GRADIENT) aux = csimd_load_f64(args->aux_type, args->aux, at);
    const double result = apply(args->epilogue, z, aux);
    if (args->y_type == CSIMD_F64)
        csimd_store_f64(CSIMD_F64, args->y, at, result);
    else
        csimd_store_f32(args->y_type, args->y, at, (float)result);
}

// Whether tap `tap` of the window at `window` lies inside an axis of `size`; *at is where.
static bool source(size_t window, size_t stride, size_t tap, size_t dilation, size_t padding, size_t size, size_t *at) {
    const size_t padded = window * stride + tap * dilation;
    *at = padded - padding;
    return padded >= padding && *at < size;
}

void csimd_conv_formula(const csimd_conv_args *args) {
    const csimd_conv_shape *s = &args->shape;
    const size_t height = csimd_conv_output_height(s), width = csimd_conv_output_width(s);
    const size_t channels = s->channels / s->groups, outputs = s->output_channels / s->groups;
    for (size_t b = 0; b < s->batch; b++)
        for (size_t i = 0; i < height; i++)
            for (size_t j = 0; j < width; j++)
                for (size_t o = 0; o < s->output_channels; o++) {
                    double sum = 0;
                    for (size_t u = 0, y, x; u < s->kernel_height; u++)
                        for (size_t v = 0; v < s->kernel_width; v++) {
                            if (!source(i, s->stride_height, u, s->dilation_height, s->padding_height, s->height, &y)) continue;
                            if (!source(j, s->stride_width, v, s->dilation_width, s->padding_width, s->width, &x)) continue;
                            for (size_t c = 0; c < channels; c++) {
                                const size_t from = ((b * s->height + y) * s->width + x) * s->channels + o / outputs * channels;
                                const size_t weight = ((o * channels + c) * s->kernel_height + u) * s->kernel_width + v;
                                sum += csimd_load_f64(args->x_type, args->x, from + c) *
                                       csimd_load_f64(args->weight_type, args->weight, weight);
                            }
                        }
                    finish(args, ((b * height + i) * width + j) * s->output_channels + o, o, sum);
                }
}

// Whether some window's tap `tap` took source pixel `at`; *window is which.
static bool window_of(size_t at, size_t stride, size_t tap, size_t dilation, size_t padding, size_t windows, size_t *window) {
    const size_t padded = at + padding, offset = tap * dilation;
    if (padded < offset || (padded - offset) % stride != 0) return false;
    *window = (padded - offset) / stride;
    return *window < windows;
}

void csimd_conv_input_gradient_formula(const csimd_conv_args *args) {
    const csimd_conv_shape *s = &args->shape;
    const size_t height = csimd_conv_output_height(s), width = csimd_conv_output_width(s);
    const size_t channels = s->channels / s->groups, outputs = s->output_channels / s->groups;
    for (size_t b = 0; b < s->batch; b++)
        for (size_t y = 0; y < s->height; y++)
            for (size_t x = 0; x < s->width; x++)
                for (size_t c = 0; c < s->channels; c++) {
                    double sum = 0;
                    for (size_t u = 0, i, j; u < s->kernel_height; u++)
                        for (size_t v = 0; v < s->kernel_width; v++) {
                            if (!window_of(y, s->stride_height, u, s->dilation_height, s->padding_height, height, &i)) continue;
                            if (!window_of(x, s->stride_width, v, s->dilation_width, s->padding_width, width, &j)) continue;
                            const size_t first = c / channels * outputs;
                            for (size_t o = first; o < first + outputs; o++) {
                                const size_t from = ((b * height + i) * width + j) * s->output_channels + o;
                                const size_t row = o * channels + c % channels;
                                const size_t weight = (row * s->kernel_height + u) * s->kernel_width + v;
                                sum += csimd_load_f64(args->x_type, args->x, from) *
                                       csimd_load_f64(args->weight_type, args->weight, weight);
                            }
                        }
                    finish(args, ((b * s->height + y) * s->width + x) * s->channels + c, c, sum);
                }
}

void csimd_conv_weight_gradient_formula(const csimd_conv_shape *s, csimd_type dy_type, const void *dy, csimd_type x_type,
                                        const void *x, bool accumulate, csimd_type dw_type, void *dw) {
    const size_t height = csimd_conv_output_height(s), width = csimd_conv_output_width(s);
    const size_t channels = s->channels / s->groups, outputs = s->output_channels / s->groups;
    for (size_t o = 0, at = 0; o < s->output_channels; o++)
        for (size_t c = 0; c < channels; c++)
            for (size_t u = 0; u < s->kernel_height; u++)
                for (size_t v = 0; v < s->kernel_width; v++, at++) {
                    double sum = 0;
                    for (size_t b = 0; b < s->batch; b++)
                        for (size_t i = 0, row, column; i < height; i++)
                            for (size_t j = 0; j < width; j++) {
                                if (!source(i, s->stride_height, u, s->dilation_height, s->padding_height, s->height, &row))
                                    continue;
                                if (!source(j, s->stride_width, v, s->dilation_width, s->padding_width, s->width, &column))
                                    continue;
                                const size_t pixel = (b * s->height + row) * s->width + column;
                                sum += csimd_load_f64(dy_type, dy, ((b * height + i) * width + j) * s->output_channels + o) *
                                       csimd_load_f64(x_type, x, pixel * s->channels + o / outputs * channels + c);
                            }
                    if (accumulate) sum += csimd_load_f64(dw_type, dw, at);
                    if (dw_type == CSIMD_F64)
                        csimd_store_f64(dw_type, dw, at, sum);
                    else
                        csimd_store_f32(dw_type, dw, at, (float)sum);
                }
}
