// Unary and binary operations on f32, f16 and bf16 through float32 lanes, over support/vector_<isa>.h and vector_math_body.h.
// Cheap operations are bound by memory; exp, tanh and their kin by about 15 to 50 arithmetic instructions a vector.
// One loop an operation and type: both are constants where a loop is inlined. min and max return their second operand where
// either is NaN or both are zeros, which is what keeps NaN below.

V_INLINE v_f32 apply_unary(csimd_unary_op op, v_f32 x, v_f32 p, v_f32 q) {
    switch (op) {
    case CSIMD_NEGATE:
        return v_negate(x);
    case CSIMD_ABS:
        return v_abs(x);
    case CSIMD_EXP:
        return v_exp(x);
    case CSIMD_LOG:
        return v_log(x);
    case CSIMD_SQRT:
        return v_sqrt(x);
    case CSIMD_TANH:
        return v_tanh(x);
    case CSIMD_SIGMOID:
        return v_sigmoid(x);
    case CSIMD_RELU:
        return v_max(v_set(0), x);
    case CSIMD_GELU:
        return v_gelu(x);
    case CSIMD_GELU_TANH:
        return v_gelu_tanh(x);
    case CSIMD_SILU:
        return v_silu(x);
    case CSIMD_CLAMP:
        return v_min(q, v_max(p, x));
    case CSIMD_DIVIDE_BY:
        return v_div(x, p);
    case CSIMD_DIVIDE_INTO:
        return v_div(p, x);
    case CSIMD_SCALE_SHIFT:
        return v_fma(x, p, q);
    case CSIMD_POWER:
        return v_mul(x, x);  // the square; other powers have loops of their own
    }
    return x;
}

// The next elements before a cache line of y, at most `count`: stores past the caches are of whole lines.
V_INLINE size_t elements_to_line(csimd_type type, const void *y, size_t index, size_t count) {
    const size_t size = csimd_type_size(type), past = ((uintptr_t)y + index * size) % CSIMD_ALIGNMENT;
    return past == 0 ? 0 : csimd_minimum(count, (CSIMD_ALIGNMENT - past) / size);
}

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t lanes) {
    return lanes == v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, lanes);
}

V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (lanes == v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, lanes, value);
}

// Elements i ..< end, a vector at a time, the last one partial.
V_INLINE void unary_range(csimd_unary_op op, csimd_type type, size_t i, size_t end, const void *x, v_f32 p, v_f32 q, void *y) {
    for (; i < end; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, end - i);
        store_lanes(type, y, i, lanes, apply_unary(op, load_lanes(type, x, i, lanes), p, q));
    }
}

V_INLINE void unary_loop(csimd_unary_op op, csimd_type type, size_t count, const void *x, v_f32 p, v_f32 q, void *y,
                         bool stream) {
    size_t i = stream ? elements_to_line(type, y, 0, count) : 0;
    if (i > 0) unary_range(op, type, 0, i, x, p, q, y);
    for (; i + 2 * v_lanes <= count; i += 2 * v_lanes) {
        v_f32 low = apply_unary(op, v_load(type, x, i), p, q), high = apply_unary(op, v_load(type, x, i + v_lanes), p, q);
        if (stream)
            v_stream_pair(type, y, i, low, high);
        else
            v_store_pair(type, y, i, low, high);
    }
    unary_range(op, type, i, count, x, p, q, y);
}

V_INLINE void unary_of(csimd_unary_op op, csimd_type type, size_t count, const void *x, v_f32 p, v_f32 q, void *y,
                       bool stream) {
    if (type == CSIMD_F32)
        unary_loop(op, CSIMD_F32, count, x, p, q, y, stream);
    else if (type == CSIMD_F16)
        unary_loop(op, CSIMD_F16, count, x, p, q, y, stream);
    else
        unary_loop(op, CSIMD_BF16, count, x, p, q, y, stream);
    if (stream) v_stream_end();
}

#include "power_body.h"

static void unary(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y, bool stream) {
    if (type == CSIMD_F64 && op == CSIMD_SCALE_SHIFT) {
        for (size_t i = 0; i < count; i++) ((double *)y)[i] = __builtin_fma(((const double *)x)[i], p, q);
        return;
    }
    if (type == CSIMD_F64 || (op == CSIMD_POWER && (p == 0 || !isfinite(p)))) {
        csimd_elementwise_kernels_ref.unary(op, type, count, x, p, q, y, stream);
        return;
    }
    if (op == CSIMD_POWER && p != 2) {
        power(type, count, x, p, y);
        return;
    }
    const v_f32 p32 = v_set((float)p), q32 = v_set((float)q);
    switch (op) {
    case CSIMD_NEGATE:
        unary_of(CSIMD_NEGATE, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_ABS:
        unary_of(CSIMD_ABS, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_EXP:
        unary_of(CSIMD_EXP, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_LOG:
        unary_of(CSIMD_LOG, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_SQRT:
        unary_of(CSIMD_SQRT, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_TANH:
        unary_of(CSIMD_TANH, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_SIGMOID:
        unary_of(CSIMD_SIGMOID, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_RELU:
        unary_of(CSIMD_RELU, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_GELU:
        unary_of(CSIMD_GELU, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_GELU_TANH:
        unary_of(CSIMD_GELU_TANH, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_SILU:
        unary_of(CSIMD_SILU, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_CLAMP:
        unary_of(CSIMD_CLAMP, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_DIVIDE_BY:
        unary_of(CSIMD_DIVIDE_BY, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_DIVIDE_INTO:
        unary_of(CSIMD_DIVIDE_INTO, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_SCALE_SHIFT:
        unary_of(CSIMD_SCALE_SHIFT, type, count, x, p32, q32, y, stream);
        return;
    case CSIMD_POWER:
        unary_of(CSIMD_POWER, type, count, x, p32, q32, y, stream);
        return;
    }
}

// b times a derivative that may be infinite: 0 where b is 0, but NaN where a is.
V_INLINE v_f32 chained(v_f32 a, v_f32 b, v_f32 product) {
    return v_select(v_equal(b, v_set(0)), v_select(v_nan(a), a, b), product);
}

V_INLINE v_f32 apply_binary(csimd_binary_op op, v_f32 a, v_f32 b) {
    switch (op) {
    case CSIMD_ADD:
        return v_add(a, b);
    case CSIMD_SUBTRACT:
        return v_sub(a, b);
    case CSIMD_MULTIPLY:
        return v_mul(a, b);
    case CSIMD_DIVIDE:
        return v_div(a, b);
    case CSIMD_MAXIMUM:
        return v_select(v_nan(a), a, v_max(a, b));
    case CSIMD_MINIMUM:
        return v_select(v_nan(a), a, v_min(a, b));
    case CSIMD_EXP_GRADIENT: {
        const v_f32 root = v_exp(v_mul(a, v_set(0.5f)));  // e^a may be beyond float32 where b e^a is not
        return chained(a, b, v_mul(v_mul(b, root), root));
    }
    case CSIMD_LOG_GRADIENT:
        return chained(a, b, v_div(b, a));
    case CSIMD_SQRT_GRADIENT:
        return chained(a, b, v_div(v_mul(b, v_set(0.5f)), v_abs(a)));
    case CSIMD_POWER_GRADIENT:
        return chained(a, b, v_mul(b, a));
    case CSIMD_TANH_GRADIENT:
        return v_mul(b, v_fnma(a, a, v_set(1)));
    case CSIMD_SIGMOID_GRADIENT:
        return v_mul(b, v_mul(a, v_sub(v_set(1), a)));
    case CSIMD_RELU_GRADIENT:
        return v_select(v_less(v_set(0), a), b, v_set(0));
    case CSIMD_GELU_GRADIENT:
        return v_mul(b, v_gelu_gradient(a));
    case CSIMD_GELU_TANH_GRADIENT:
        return v_mul(b, v_gelu_tanh_gradient(a));
    case CSIMD_SILU_GRADIENT:
        return v_mul(b, v_silu_gradient(a));
    case CSIMD_ABS_GRADIENT:
        return v_select(v_less(v_set(0), a), b, v_select(v_less(a, v_set(0)), v_negate(b), v_set(0)));
    case CSIMD_SILU_MULTIPLY:
        return v_mul(v_silu(a), b);
    }
    return a;
}

// A row of two operands, each with an element a column or one for all of them.
typedef struct {
    const void *left, *right;
    size_t at_left, at_right;
    v_f32 one_left, one_right;
    bool each_left, each_right;
} row_operands;

V_INLINE v_f32 binary_lanes(csimd_binary_op op, csimd_type type, row_operands row, size_t j, size_t lanes) {
    v_f32 left = row.each_left ? load_lanes(type, row.left, row.at_left + j, lanes) : row.one_left;
    v_f32 right = row.each_right ? load_lanes(type, row.right, row.at_right + j, lanes) : row.one_right;
    return apply_binary(op, left, right);
}

// Columns j ..< end of y from element `at` on, a vector at a time, the last one partial.
V_INLINE void binary_range(csimd_binary_op op, csimd_type type, row_operands row, size_t j, size_t end, void *y, size_t at) {
    for (; j < end; j += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, end - j);
        store_lanes(type, y, at + j, lanes, binary_lanes(op, type, row, j, lanes));
    }
}

V_INLINE void binary_loop(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                          void *y, bool stream) {
    for (size_t i = 0, at = 0; i < rows; i++, at += columns) {
        const size_t at_a = i * a.row_stride, at_b = i * b.row_stride;
        const row_operands row = {
            .left = a.base,
            .right = b.base,
            .at_left = at_a,
            .at_right = at_b,
            .one_left = v_set(csimd_load_f32(type, a.base, at_a)),
            .one_right = v_set(csimd_load_f32(type, b.base, at_b)),
            .each_left = a.column_stride != 0,
            .each_right = b.column_stride != 0,
        };
        size_t j = stream ? elements_to_line(type, y, at, columns) : 0;
        if (j > 0) binary_range(op, type, row, 0, j, y, at);
        for (; j + 2 * v_lanes <= columns; j += 2 * v_lanes) {
            v_f32 low = binary_lanes(op, type, row, j, v_lanes), high = binary_lanes(op, type, row, j + v_lanes, v_lanes);
            if (stream)
                v_stream_pair(type, y, at + j, low, high);
            else
                v_store_pair(type, y, at + j, low, high);
        }
        binary_range(op, type, row, j, columns, y, at);
    }
}

V_INLINE void binary_of(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                        void *y, bool stream) {
    if (type == CSIMD_F32)
        binary_loop(op, CSIMD_F32, rows, columns, a, b, y, stream);
    else if (type == CSIMD_F16)
        binary_loop(op, CSIMD_F16, rows, columns, a, b, y, stream);
    else
        binary_loop(op, CSIMD_BF16, rows, columns, a, b, y, stream);
    if (stream) v_stream_end();
}

static void binary(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b, void *y,
                   bool stream) {
    if (type == CSIMD_F64) {
        csimd_elementwise_kernels_ref.binary(op, type, rows, columns, a, b, y, stream);
        return;
    }
    switch (op) {
    case CSIMD_ADD:
        binary_of(CSIMD_ADD, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_SUBTRACT:
        binary_of(CSIMD_SUBTRACT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_MULTIPLY:
        binary_of(CSIMD_MULTIPLY, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_DIVIDE:
        binary_of(CSIMD_DIVIDE, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_MAXIMUM:
        binary_of(CSIMD_MAXIMUM, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_MINIMUM:
        binary_of(CSIMD_MINIMUM, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_EXP_GRADIENT:
        binary_of(CSIMD_EXP_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_LOG_GRADIENT:
        binary_of(CSIMD_LOG_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_SQRT_GRADIENT:
        binary_of(CSIMD_SQRT_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_POWER_GRADIENT:
        binary_of(CSIMD_POWER_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_TANH_GRADIENT:
        binary_of(CSIMD_TANH_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_SIGMOID_GRADIENT:
        binary_of(CSIMD_SIGMOID_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_RELU_GRADIENT:
        binary_of(CSIMD_RELU_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_GELU_GRADIENT:
        binary_of(CSIMD_GELU_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_GELU_TANH_GRADIENT:
        binary_of(CSIMD_GELU_TANH_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_SILU_GRADIENT:
        binary_of(CSIMD_SILU_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_ABS_GRADIENT:
        binary_of(CSIMD_ABS_GRADIENT, type, rows, columns, a, b, y, stream);
        return;
    case CSIMD_SILU_MULTIPLY:
        binary_of(CSIMD_SILU_MULTIPLY, type, rows, columns, a, b, y, stream);
        return;
    }
}

V_INLINE void silu_multiply_gradient_of(csimd_type type, size_t count, const void *gate, const void *x, const void *dy,
                                        void *gate_gradient, void *x_gradient) {
    for (size_t i = 0; i < count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, count - i);
        const v_f32 g = load_lanes(type, gate, i, lanes), d = load_lanes(type, dy, i, lanes);
        const v_f32 factor = gate_gradient == NULL ? d : load_lanes(type, x, i, lanes);
        if (gate_gradient != NULL) store_lanes(type, gate_gradient, i, lanes, v_mul(v_mul(d, v_silu_gradient(g)), factor));
        if (x_gradient != NULL) store_lanes(type, x_gradient, i, lanes, v_mul(v_silu(g), d));
    }
}

static void silu_multiply_gradient(csimd_type type, size_t count, const void *gate, const void *x, const void *dy,
                                   void *gate_gradient, void *x_gradient) {
    if (type == CSIMD_F64)
        csimd_elementwise_kernels_ref.silu_multiply_gradient(type, count, gate, x, dy, gate_gradient, x_gradient);
    if (type == CSIMD_F32) silu_multiply_gradient_of(CSIMD_F32, count, gate, x, dy, gate_gradient, x_gradient);
    if (type == CSIMD_F16) silu_multiply_gradient_of(CSIMD_F16, count, gate, x, dy, gate_gradient, x_gradient);
    if (type == CSIMD_BF16) silu_multiply_gradient_of(CSIMD_BF16, count, gate, x, dy, gate_gradient, x_gradient);
}
