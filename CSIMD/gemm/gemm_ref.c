// Reference GEMM: the formula, element by element. Products are summed in float64, where those of two float32 values are
// exact, and rounded to float32 once.
#include "gemm.h"

#include "../support/scalar16.h"

static float apply(csimd_epilogue epilogue, float z, float aux) {
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
        return x == -INFINITY ? 0 : (float)(x * cumulative);
    case CSIMD_EPILOGUE_GELU_GRADIENT:
        return (float)(z * (cumulative + (isinf(x) ? 0 : x * density)));
    }
    return z;
}

static void formula(const csimd_gemm_args *args) {
    const size_t a_row = args->a_transposed ? 1 : args->lda, a_column = args->a_transposed ? args->lda : 1;
    const size_t b_row = args->b_transposed ? 1 : args->ldb, b_column = args->b_transposed ? args->ldb : 1;
    const size_t k = args->alpha == 0 ? 0 : args->k;
    for (size_t i = 0; i < args->m; i++)
        for (size_t j = 0; j < args->n; j++) {
            double sum = 0;
            for (size_t p = 0; p < k; p++)
                sum += (double)csimd_load_f32(args->a_type, args->a, i * a_row + p * a_column) *
                       csimd_load_f32(args->b_type, args->b, p * b_row + j * b_column);
            float z = k == 0 ? (args->beta != 0 ? -0.0f : 0.0f) : args->alpha * (float)sum;
            if (args->beta != 0) z = fmaf(args->beta, csimd_load_f32(args->c_type, args->c, i * args->ldc + j), z);
            if (args->bias != NULL) z += csimd_load_f32(args->bias_type, args->bias, j);
            float aux = 0;
            if (args->epilogue == CSIMD_EPILOGUE_GELU && args->aux != NULL)
                csimd_store_f32(args->aux_type, args->aux, i * args->ldaux + j, z);
            if (args->epilogue >= CSIMD_EPILOGUE_RELU_GRADIENT)
                aux = csimd_load_f32(args->aux_type, args->aux, i * args->ldaux + j);
            csimd_store_f32(args->c_type, args->c, i * args->ldc + j, apply(args->epilogue, z, aux));
        }
}

const csimd_gemm_kernels csimd_gemm_ref = {.formula = formula};
