// The finishing pass over one tile of float32 sums, included by each instruction set's file after its vector operations:
// alpha, beta, bias, epilogue and the one rounding. A tile is in L1 when it comes here; about 1 load, 1 store and a rounding
// (6 operations for bf16) a vector, against tile depth times 1 multiply-add.

// What an element of C becomes from its sum, for the next `count` columns of a row: at most a vector of them.
V_INLINE v_f32 finished(csimd_type c_type, csimd_epilogue epilogue, const csimd_gemm_args *args, size_t row, size_t column,
                        size_t count, v_f32 scale, v_f32 bias, const float *sums) {
    const size_t at = row * args->ldc + column, aux_at = row * args->ldaux + column;
    v_f32 z = v_mul(scale, load_floats(sums));
    if (args->beta != 0) z = v_fma(v_set(args->beta), load_some(c_type, args->c, at, count), z);
    if (args->bias) z = v_add(z, bias);
    if (epilogue == CSIMD_EPILOGUE_RELU) z = v_max(v_set(0), z);
    if (epilogue == CSIMD_EPILOGUE_RELU_GRADIENT)
        z = v_select(v_less(v_set(0), load_some(args->aux_type, args->aux, aux_at, count)), z, v_set(0));
    if (epilogue == CSIMD_EPILOGUE_GELU) {
        if (args->aux) store_result(args->aux_type, args->aux, aux_at, count, z);
        z = v_gelu(z);
    }
    if (epilogue == CSIMD_EPILOGUE_GELU_GRADIENT)
        z = v_mul(z, v_gelu_gradient(load_some(args->aux_type, args->aux, aux_at, count)));
    return z;
}

V_INLINE void finish_tile(csimd_type c_type, csimd_epilogue epilogue, const csimd_gemm_args *args, size_t first_row,
                          size_t first_column, size_t rows, size_t columns, float alpha, const float *sums, size_t ldsums) {
    const v_f32 scale = v_set(alpha);
    for (size_t s = 0, count; s < columns; s += count) {
        const size_t j = first_column + s, left = columns - s;
        const v_f32 bias = args->bias ? load_some(args->bias_type, args->bias, j, left) : v_set(0);
        if (left >= 2 * v_lanes) {
            count = 2 * v_lanes;
            const v_f32 next = args->bias ? v_load(args->bias_type, args->bias, j + v_lanes) : v_set(0);
            for (size_t r = 0; r < rows; r++) {
                const size_t i = first_row + r, k = j + v_lanes;
                const float *sum = sums + r * ldsums + s;
                const v_f32 low = finished(c_type, epilogue, args, i, j, v_lanes, scale, bias, sum);
                const v_f32 high = finished(c_type, epilogue, args, i, k, v_lanes, scale, next, sum + v_lanes);
                store_result_pair(c_type, args->c, i * args->ldc + j, low, high);
            }
        } else {
            count = csimd_minimum(left, v_lanes);
            for (size_t r = 0; r < rows; r++) {
                const size_t i = first_row + r;
                const v_f32 z = finished(c_type, epilogue, args, i, j, count, scale, bias, sums + r * ldsums + s);
                store_result(c_type, args->c, i * args->ldc + j, count, z);
            }
        }
    }
}

V_INLINE void finish_as(csimd_type c_type, const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns,
                        float alpha, const float *sums, size_t ldsums) {
    switch (args->epilogue) {
    case CSIMD_EPILOGUE_NONE:
        finish_tile(c_type, CSIMD_EPILOGUE_NONE, args, i, j, rows, columns, alpha, sums, ldsums);
        return;
    case CSIMD_EPILOGUE_RELU:
        finish_tile(c_type, CSIMD_EPILOGUE_RELU, args, i, j, rows, columns, alpha, sums, ldsums);
        return;
    case CSIMD_EPILOGUE_GELU:
        finish_tile(c_type, CSIMD_EPILOGUE_GELU, args, i, j, rows, columns, alpha, sums, ldsums);
        return;
    case CSIMD_EPILOGUE_RELU_GRADIENT:
        finish_tile(c_type, CSIMD_EPILOGUE_RELU_GRADIENT, args, i, j, rows, columns, alpha, sums, ldsums);
        return;
    case CSIMD_EPILOGUE_GELU_GRADIENT:
        finish_tile(c_type, CSIMD_EPILOGUE_GELU_GRADIENT, args, i, j, rows, columns, alpha, sums, ldsums);
        return;
    }
}

static void finish(const csimd_gemm_args *args, size_t i, size_t j, size_t rows, size_t columns, float alpha, const float *sums,
                   size_t ldsums) {
    if (args->c_type == CSIMD_F32) finish_as(CSIMD_F32, args, i, j, rows, columns, alpha, sums, ldsums);
    if (args->c_type == CSIMD_F16) finish_as(CSIMD_F16, args, i, j, rows, columns, alpha, sums, ldsums);
    if (args->c_type == CSIMD_BF16) finish_as(CSIMD_BF16, args, i, j, rows, columns, alpha, sums, ldsums);
}
