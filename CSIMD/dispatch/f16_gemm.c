// How products of two f16 matrices are summed: in float32, or, where that was asked for, in float16 chunks.
#include "kernel_table.h"

static const csimd_gemm_kernels *chunked_kernels(const csimd_row *row) {
    if (row->gemm_f16_chunked == NULL) return NULL;
    if (row->has_gemm_f16_chunked(csimd_cpu_detect())) return row->gemm_f16_chunked;
    return csimd_options.emulates ? row->gemm_f16_chunked_emulated : NULL;
}

const csimd_gemm_kernels *csimd_chosen_f16(const csimd_row *row) {
    return csimd_options.f16_products == 0 ? NULL : chunked_kernels(row);
}

size_t csimd_f16_chunk(void) { return csimd_chosen_f16(csimd_kernels()) == NULL ? 0 : CSIMD_CHUNK; }

csimd_status csimd_set_thread_f16_chunk(size_t products) {
    const bool may = products == 0 || (products == CSIMD_CHUNK && chunked_kernels(csimd_kernels()) != NULL);
    if (!may) return CSIMD_INVALID_ARGUMENT;
    csimd_options.f16_products = products;
    return CSIMD_OK;
}

bool csimd_row_has_f16_chunks(size_t row) { return csimd_row_supported(row) && chunked_kernels(csimd_row_at(row)) != NULL; }
