// The dispatch table: one const row an instruction set, best first, the reference last and complete.
// A family's struct of kernels is declared in its own folder; a row that has no better kernel of a family names the next row's.
#ifndef CSIMD_KERNEL_TABLE_H
#define CSIMD_KERNEL_TABLE_H

#include "../attention/attention.h"
#include "../batchnorm/batchnorm.h"
#include "../convert/convert.h"
#include "../dropout/dropout.h"
#include "../elementwise/elementwise.h"
#include "../embedding/embedding.h"
#include "../gemm/gemm.h"
#include "../loops/loops.h"
#include "../norm/norm.h"
#include "../optim/optim.h"
#include "../pool/pool.h"
#include "../random/random.h"
#include "../reduce/reduce.h"
#include "../softmax/softmax.h"
#include "../support/cpu_features.h"
#include "../support/internal.h"

typedef struct {
    const char *name;
    bool (*supported)(const csimd_cpu *cpu);
    double (*fma_probe)(size_t iterations,
                        double *flops);  // runs multiply-adds, reports how many FLOPs; result defeats removal
    float (*memory_probe)(csimd_memory_pattern pattern, size_t bytes, float *block);  // one pass, see memory_probe.h
    const csimd_softmax_kernels *softmax;
    const csimd_optim_kernels *optim;
    const csimd_gemm_kernels *gemm;
    const csimd_gemm_kernels *gemm_bf16;  // of bf16 by bf16 in instructions of its own, or NULL; needs what has_gemm_bf16 says
    bool (*has_gemm_bf16)(const csimd_cpu *cpu);
    // The same in matrix tiles, and of f16 by f16 in float16 chunks; the emulations are for tests, or NULL.
    const csimd_gemm_kernels *gemm_amx, *gemm_amx_emulated;
    bool (*has_gemm_amx)(const csimd_cpu *cpu);
    const csimd_gemm_kernels *gemm_f16_chunked, *gemm_f16_chunked_emulated;
    bool (*has_gemm_f16_chunked)(const csimd_cpu *cpu);
    const csimd_convert_kernels *convert;
    const csimd_elementwise_kernels *elementwise;
    const csimd_reduce_kernels *reduce;
    const csimd_norm_kernels *norm;
    const csimd_embedding_kernels *embedding;
    const csimd_dropout_kernels *dropout;
    const csimd_random_kernels *random;
    const csimd_attention_kernels *attention;
    const csimd_attention_kernels *attention_bf16;  // where bf16 products are native, or NULL; needs what has_gemm_bf16 says
    const csimd_loops_kernels *loops;
    const csimd_pool_kernels *pool;
    const csimd_batchnorm_kernels *batchnorm;
} csimd_row;

// The active row for the calling thread. A driver reads it once, before it starts threads.
const csimd_row *csimd_kernels(void);

// Row `row`; its native bf16 kernels, NULL where it has none or the CPU cannot run them.
const csimd_row *csimd_row_at(size_t row);
const csimd_gemm_kernels *csimd_native_bf16(const csimd_row *row);

// What multiplies two bf16 matrices on the calling thread; what multiplies two f16 matrices other than row->gemm, or NULL.
const csimd_gemm_kernels *csimd_chosen_bf16(const csimd_row *row);
const csimd_gemm_kernels *csimd_chosen_f16(const csimd_row *row);

// What the calling thread has chosen.
extern _Thread_local csimd_thread_options csimd_options;

#endif
