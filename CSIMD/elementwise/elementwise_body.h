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
    case CSIMD_SILU:
        return v_silu(x);
    case CSIMD_CLAMP:
        return v_min(q, v_max(p, x));
    case CSIMD_SCALE_SHIFT:
        return v_fma(x, p, q);
    case CSIMD_POWER:
        return v_mul(x, x);  // the square; other powers go to the reference row
    }
    return x;
}

V_INLINE void unary_loop(csimd_unary_op op, csimd_type type, size_t count, const void *x, v_f32 p, v_f32 q, void *y) {
    size_t i = 0;
    for (; i + v_lanes <= count; i += v_lanes) v_store(type, y, i, apply_unary(op, v_load(type, x, i), p, q));
    if (i < count) v_store_first(type, y, i, count - i, apply_unary(op, v_load_first(type, x, i, count - i), p, q));
}

V_INLINE void unary_of(csimd_unary_op op, csimd_type type, size_t count, const void *x, v_f32 p, v_f32 q, void *y) {
    if (type == CSIMD_F32)
        unary_loop(op, CSIMD_F32, count, x, p, q, y);
    else if (type == CSIMD_F16)
        unary_loop(op, CSIMD_F16, count, x, p, q, y);
    else
        unary_loop(op, CSIMD_BF16, count, x, p, q, y);
}

static void unary(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y) {
    if (type == CSIMD_F64 || (op == CSIMD_POWER && p != 2)) {
        csimd_elementwise_kernels_ref.unary(op, type, count, x, p, q, y);
        return;
    }
    const v_f32 p32 = v_set((float)p), q32 = v_set((float)q);
    switch (op) {
    case CSIMD_NEGATE:
        unary_of(CSIMD_NEGATE, type, count, x, p32, q32, y);
        return;
    case CSIMD_ABS:
        unary_of(CSIMD_ABS, type, count, x, p32, q32, y);
        return;
    case CSIMD_EXP:
        unary_of(CSIMD_EXP, type, count, x, p32, q32, y);
        return;
    case CSIMD_LOG:
        unary_of(CSIMD_LOG, type, count, x, p32, q32, y);
        return;
    case CSIMD_SQRT:
        unary_of(CSIMD_SQRT, type, count, x, p32, q32, y);
        return;
    case CSIMD_TANH:
        unary_of(CSIMD_TANH, type, count, x, p32, q32, y);
        return;
    case CSIMD_SIGMOID:
        unary_of(CSIMD_SIGMOID, type, count, x, p32, q32, y);
        return;
    case CSIMD_RELU:
        unary_of(CSIMD_RELU, type, count, x, p32, q32, y);
        return;
    case CSIMD_GELU:
        unary_of(CSIMD_GELU, type, count, x, p32, q32, y);
        return;
    case CSIMD_SILU:
        unary_of(CSIMD_SILU, type, count, x, p32, q32, y);
        return;
    case CSIMD_CLAMP:
        unary_of(CSIMD_CLAMP, type, count, x, p32, q32, y);
        return;
    case CSIMD_SCALE_SHIFT:
        unary_of(CSIMD_SCALE_SHIFT, type, count, x, p32, q32, y);
        return;
    case CSIMD_POWER:
        unary_of(CSIMD_POWER, type, count, x, p32, q32, y);
        return;
    }
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
    case CSIMD_TANH_GRADIENT:
        return v_mul(b, v_fnma(a, a, v_set(1)));
    case CSIMD_SIGMOID_GRADIENT:
        return v_mul(b, v_mul(a, v_sub(v_set(1), a)));
    case CSIMD_RELU_GRADIENT:
        return v_select(v_less(v_set(0), a), b, v_set(0));
    case CSIMD_GELU_GRADIENT:
        return v_mul(b, v_gelu_gradient(a));
    case CSIMD_SILU_GRADIENT:
        return v_mul(b, v_silu_gradient(a));
    case CSIMD_ABS_GRADIENT:
        return v_select(v_less(v_set(0), a), b, v_select(v_less(a, v_set(0)), v_negate(b), v_set(0)));
    case CSIMD_SILU_MULTIPLY:
        return v_mul(v_silu(a), b);
    }
    return a;
}

V_INLINE void binary_loop(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                          void *y) {
    for (size_t row = 0; row < rows; row++) {
        const size_t at_a = row * a.row_stride, at_b = row * b.row_stride, at_y = row * columns;
        const bool each_a = a.column_stride != 0, each_b = b.column_stride != 0;
        const v_f32 one_a = v_set(csimd_load_f32(type, a.base, at_a)), one_b = v_set(csimd_load_f32(type, b.base, at_b));
        size_t j = 0;
        for (; j + v_lanes <= columns; j += v_lanes) {
            v_f32 left = each_a ? v_load(type, a.base, at_a + j) : one_a;
            v_f32 right = each_b ? v_load(type, b.base, at_b + j) : one_b;
            v_store(type, y, at_y + j, apply_binary(op, left, right));
        }
        if (j < columns) {
            const size_t rest = columns - j;
            v_f32 left = each_a ? v_load_first(type, a.base, at_a + j, rest) : one_a;
            v_f32 right = each_b ? v_load_first(type, b.base, at_b + j, rest) : one_b;
            v_store_first(type, y, at_y + j, rest, apply_binary(op, left, right));
        }
    }
}

V_INLINE void binary_of(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                        void *y) {
    if (type == CSIMD_F32)
        binary_loop(op, CSIMD_F32, rows, columns, a, b, y);
    else if (type == CSIMD_F16)
        binary_loop(op, CSIMD_F16, rows, columns, a, b, y);
    else
        binary_loop(op, CSIMD_BF16, rows, columns, a, b, y);
}

static void binary(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                   void *y) {
    if (type == CSIMD_F64) {
        csimd_elementwise_kernels_ref.binary(op, type, rows, columns, a, b, y);
        return;
    }
    switch (op) {
    case CSIMD_ADD:
        binary_of(CSIMD_ADD, type, rows, columns, a, b, y);
        return;
    case CSIMD_SUBTRACT:
        binary_of(CSIMD_SUBTRACT, type, rows, columns, a, b, y);
        return;
    case CSIMD_MULTIPLY:
        binary_of(CSIMD_MULTIPLY, type, rows, columns, a, b, y);
        return;
    case CSIMD_DIVIDE:
        binary_of(CSIMD_DIVIDE, type, rows, columns, a, b, y);
        return;
    case CSIMD_MAXIMUM:
        binary_of(CSIMD_MAXIMUM, type, rows, columns, a, b, y);
        return;
    case CSIMD_MINIMUM:
        binary_of(CSIMD_MINIMUM, type, rows, columns, a, b, y);
        return;
    case CSIMD_TANH_GRADIENT:
        binary_of(CSIMD_TANH_GRADIENT, type, rows, columns, a, b, y);
        return;
    case CSIMD_SIGMOID_GRADIENT:
        binary_of(CSIMD_SIGMOID_GRADIENT, type, rows, columns, a, b, y);
        return;
    case CSIMD_RELU_GRADIENT:
        binary_of(CSIMD_RELU_GRADIENT, type, rows, columns, a, b, y);
        return;
    case CSIMD_GELU_GRADIENT:
        binary_of(CSIMD_GELU_GRADIENT, type, rows, columns, a, b, y);
        return;
    case CSIMD_SILU_GRADIENT:
        binary_of(CSIMD_SILU_GRADIENT, type, rows, columns, a, b, y);
        return;
    case CSIMD_ABS_GRADIENT:
        binary_of(CSIMD_ABS_GRADIENT, type, rows, columns, a, b, y);
        return;
    case CSIMD_SILU_MULTIPLY:
        binary_of(CSIMD_SILU_MULTIPLY, type, rows, columns, a, b, y);
        return;
    }
}
