// Reference GEMM: the formula, element by element. Products are summed in float64, where those of two float32 values are
// exact, and rounded to float32 once.
#include "gemm.h"

#include "gemm_chunked.h"

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

// sum_p a[i, p] b[p, j] as float16 sums of chunks, each by multiply-adds from 0 in order of p, added up exactly enough.
static double chunked_sum(const csimd_gemm_args *args, size_t a_at, size_t a_step, size_t b_at, size_t b_step) {
    const csimd_f16 *a = (const csimd_f16 *)args->a + a_at, *b = (const csimd_f16 *)args->b + b_at;
    double total = 0;
    for (size_t first = 0; first < args->k; first += CSIMD_CHUNK) {
        csimd_f16 sum = {0};
        for (size_t p = first; p < csimd_minimum(args->k, first + CSIMD_CHUNK); p++)
            sum = csimd_f16_fma(a[p * a_step], b[p * b_step], sum);
        total += csimd_f16_to_f32(sum);
    }
    return total;
}

static void formula_of(const csimd_gemm_args *args, bool chunked) {
    const size_t a_row = args->a_transposed ? 1 : args->lda, a_column = args->a_transposed ? args->lda : 1;
    const size_t b_row = args->b_transposed ? 1 : args->ldb, b_column = args->b_transposed ? args->ldb : 1;
    const size_t k = args->alpha == 0 ? 0 : args->k;
    for (size_t i = 0; i < args->m; i++)
        for (size_t j = 0; j < args->n; j++) {
            double sum = 0;
            if (chunked && k > 0) sum = chunked_sum(args, i * a_row, a_column, j * b_column, b_row);
            for (size_t p = 0; p < k && !chunked; p++)
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

static void formula(const csimd_gemm_args *args) { formula_of(args, false); }
static void chunked_formula(const csimd_gemm_args *args) { formula_of(args, true); }

const csimd_gemm_kernels csimd_gemm_ref = {.formula = formula};
const csimd_gemm_kernels csimd_gemm_ref_chunked = {.formula = chunked_formula};
