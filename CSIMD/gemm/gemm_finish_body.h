// The finishing pass over one tile of float32 sums, included by each instruction set's file after its vector operations:
// alpha, beta, bias, epilogue and the one rounding. A tile is in L1 when it comes here; about 1 load, 1 store and a rounding
// (6 operations for bf16) a vector, against tile depth times 1 multiply-add.

V_INLINE void finish_tile(csimd_type c_type, csimd_epilogue epilogue, const csimd_gemm_args *args, size_t first_row,
                          size_t first_column, size_t rows, size_t columns, float alpha, const float *sums, size_t ldsums) {
    const v_f32 scale = v_set(alpha), old_scale = v_set(args->beta);
    const bool reads_c = args->beta != 0;
    for (size_t s = 0; s < columns; s += v_lanes) {
        const size_t count = columns - s, j = first_column + s;
        const v_f32 bias = args->bias ? load_some(args->bias_type, args->bias, j, count) : v_set(0);
        for (size_t r = 0; r < rows; r++) {
            const size_t at = (first_row + r) * args->ldc + j, aux_at = (first_row + r) * args->ldaux + j;
            v_f32 z = v_mul(scale, load_floats(sums + r * ldsums + s));
            if (reads_c) z = v_fma(old_scale, load_some(c_type, args->c, at, count), z);
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
            store_result(c_type, args->c, at, count, z);
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
