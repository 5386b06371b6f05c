// The rows, and which one a call uses.
#include "kernel_table.h"

#include "fma_probe.h"
#include "memory_probe.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static bool always(const csimd_cpu *cpu) {
    (void)cpu;
    return true;
}

#if CSIMD_X86
static bool has_avx2(const csimd_cpu *cpu) { return cpu->avx2 && cpu->fma && cpu->f16c; }
static bool has_avx512(const csimd_cpu *cpu) { return cpu->avx512 && has_avx2(cpu); }
static bool has_avx512_bf16(const csimd_cpu *cpu) { return cpu->avx512_bf16 && has_avx512(cpu); }
static bool has_avx512_fp16(const csimd_cpu *cpu) { return cpu->avx512_fp16 && has_avx512(cpu); }
static bool has_amx_bf16(const csimd_cpu *cpu) { return cpu->amx_bf16 && has_avx512_bf16(cpu) && csimd_cpu_allows_tiles(); }
#endif

static const csimd_row rows[] = {
#if CSIMD_X86
    {
        .name = "avx512",
        .supported = has_avx512,
        .fma_probe = csimd_fma_probe_avx512,
        .memory_probe = csimd_memory_probe_avx512,
        .reduce = &csimd_reduce_kernels_avx512,
        .pool = &csimd_pool_kernels_avx512,
        .batchnorm = &csimd_batchnorm_kernels_avx512,
        .elementwise = &csimd_elementwise_kernels_avx512,
        .convert = &csimd_convert_kernels_avx512,
        .gemm = &csimd_gemm_avx512,
        .gemm_bf16 = &csimd_gemm_avx512_bf16,
        .has_gemm_bf16 = has_avx512_bf16,
        .gemm_amx = &csimd_gemm_amx_bf16,
        .gemm_amx_emulated = &csimd_gemm_amx_bf16_emulated,
        .has_gemm_amx = has_amx_bf16,
        .gemm_f16_chunked = &csimd_gemm_avx512_fp16,
        .gemm_f16_chunked_emulated = &csimd_gemm_avx512_fp16_emulated,
        .has_gemm_f16_chunked = has_avx512_fp16,
        .softmax = &csimd_softmax_kernels_avx512,
        .optim = &csimd_optim_kernels_avx512,
        .norm = &csimd_norm_kernels_avx512,
        .embedding = &csimd_embedding_kernels_avx512,
        .dropout = &csimd_dropout_kernels_avx512,
        .attention = &csimd_attention_kernels_avx512,
        .attention_bf16 = &csimd_attention_kernels_avx512_bf16,
    },
    {
        .name = "avx2",
        .supported = has_avx2,
        .fma_probe = csimd_fma_probe_avx2,
        .memory_probe = csimd_memory_probe_avx2,
        .reduce = &csimd_reduce_kernels_avx2,
        .pool = &csimd_pool_kernels_avx2,
        .batchnorm = &csimd_batchnorm_kernels_avx2,
        .elementwise = &csimd_elementwise_kernels_avx2,
        .convert = &csimd_convert_kernels_avx2,
        .gemm = &csimd_gemm_avx2,
        .softmax = &csimd_softmax_kernels_avx2,
        .optim = &csimd_optim_kernels_avx2,
        .norm = &csimd_norm_kernels_avx2,
        .embedding = &csimd_embedding_kernels_avx2,
        .dropout = &csimd_dropout_kernels_avx2,
        .attention = &csimd_attention_kernels_avx2,
    },
#endif
    {
        .name = "ref",
        .supported = always,
        .fma_probe = csimd_fma_probe_ref,
        .memory_probe = csimd_memory_probe_ref,
        .reduce = &csimd_reduce_kernels_ref,
        .pool = &csimd_pool_kernels_ref,
        .batchnorm = &csimd_batchnorm_kernels_ref,
        .elementwise = &csimd_elementwise_kernels_ref,
        .convert = &csimd_convert_kernels_ref,
        .gemm = &csimd_gemm_ref,
        .gemm_f16_chunked = &csimd_gemm_ref_chunked,
        .has_gemm_f16_chunked = always,
        .softmax = &csimd_softmax_kernels_ref,
        .optim = &csimd_optim_kernels_ref,
        .norm = &csimd_norm_kernels_ref,
        .embedding = &csimd_embedding_kernels_ref,
        .dropout = &csimd_dropout_kernels_ref,
        .attention = &csimd_attention_kernels_ref,
    },
};

enum { row_count = sizeof rows / sizeof rows[0] };

static size_t default_row;
static pthread_once_t default_once = PTHREAD_ONCE_INIT;
static _Thread_local ptrdiff_t thread_row = -1;
static _Thread_local bool thread_emulates;

static void choose_default_row(void) {
    const csimd_cpu *cpu = csimd_cpu_detect();
    const char *cap = getenv("CSIMD_ISA");
    size_t first = 0;
    if (cap != NULL)
        for (size_t row = 0; row < row_count; row++)
            if (strcmp(rows[row].name, cap) == 0) first = row;
    default_row = first;
    while (!rows[default_row].supported(cpu)) default_row++;
}

size_t csimd_row_count(void) { return row_count; }

const char *csimd_row_name(size_t row) { return row < row_count ? rows[row].name : ""; }

bool csimd_row_supported(size_t row) { return row < row_count && rows[row].supported(csimd_cpu_detect()); }

size_t csimd_active_row(void) {
    if (thread_row >= 0) return (size_t)thread_row;
    pthread_once(&default_once, choose_default_row);
    return default_row;
}

csimd_status csimd_set_thread_row(ptrdiff_t row) {
    if (row >= 0 && !csimd_row_supported((size_t)row)) return CSIMD_INVALID_ARGUMENT;
    thread_row = row < 0 ? -1 : row;
    return CSIMD_OK;
}

csimd_thread_choices csimd_current_thread_choices(void) {
    return (csimd_thread_choices){thread_row, thread_emulates, csimd_thread_bf16_gemm()};
}

void csimd_set_thread_choices(csimd_thread_choices choices) {
    thread_row = choices.row;
    thread_emulates = choices.emulates;
    csimd_set_thread_bf16_gemm(choices.bf16_gemm);
}

const csimd_row *csimd_kernels(void) { return &rows[csimd_active_row()]; }

const csimd_row *csimd_row_at(size_t row) { return &rows[row]; }

const csimd_gemm_kernels *csimd_native_bf16(const csimd_row *row) {
    return row->gemm_bf16 != NULL && row->has_gemm_bf16(csimd_cpu_detect()) ? row->gemm_bf16 : NULL;
}

void csimd_set_thread_emulation(bool emulates) { thread_emulates = emulates; }

bool csimd_thread_emulates(void) { return thread_emulates; }

// Tested: the whole test suite has passed on a CPU that has the instruction.
typedef struct {
    const char *name, *instruction;
    bool (*supported)(const csimd_cpu *cpu);
    bool tested;
} special_kernel;

static const special_kernel special_kernels[] = {
#if CSIMD_X86
    {"bf16 native", "AVX512_BF16: VDPBF16PS", has_avx512_bf16, true},
    {"bf16 amx", "AMX-BF16: TDPBF16PS", has_amx_bf16, false},
    {"f16 chunked", "AVX512_FP16: VFMADDPH", has_avx512_fp16, false},
#endif
    {"f16 chunked ref", "none: emulated, slow", always, true},
};

size_t csimd_special_kernel_count(void) { return sizeof special_kernels / sizeof special_kernels[0]; }

csimd_special_kernel csimd_special_kernel_at(size_t index) {
    if (index >= csimd_special_kernel_count()) return (csimd_special_kernel){"", "", false, false};
    const special_kernel *kernel = &special_kernels[index];
    return (csimd_special_kernel){kernel->name, kernel->instruction, kernel->supported(csimd_cpu_detect()), kernel->tested};
}

// A family by the place of its kernels in a row.
typedef struct {
    const char *name;
    size_t offset;
} family;

static const family families[] = {
    {"convert", offsetof(csimd_row, convert)},
    {"gemm", offsetof(csimd_row, gemm)},
    {"elementwise", offsetof(csimd_row, elementwise)},
    {"reduce", offsetof(csimd_row, reduce)},
    {"softmax", offsetof(csimd_row, softmax)},
    {"optim", offsetof(csimd_row, optim)},
    {"norm", offsetof(csimd_row, norm)},
    {"embedding", offsetof(csimd_row, embedding)},
    {"dropout", offsetof(csimd_row, dropout)},
    {"attention", offsetof(csimd_row, attention)},
    {"pool", offsetof(csimd_row, pool)},
    {"batchnorm", offsetof(csimd_row, batchnorm)},
};

enum { family_count = sizeof families / sizeof families[0] };

static const void *family_kernels(size_t row, size_t index) {
    const void *kernels;
    memcpy(&kernels, (const char *)&rows[row] + families[index].offset, sizeof kernels);
    return kernels;
}

size_t csimd_family_count(void) { return family_count; }

const char *csimd_family_name(size_t index) { return index < family_count ? families[index].name : ""; }

size_t csimd_family_row(size_t index) {
    size_t row = csimd_active_row();
    if (index >= family_count) return row;
    const void *kernels = family_kernels(row, index);
    while (row + 1 < row_count && family_kernels(row + 1, index) == kernels) row++;
    return row;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double csimd_measure_fma_peak(double seconds) {
    double (*probe)(size_t, double *) = csimd_kernels()->fma_probe;
    volatile double sink = 0;
    double best = 0, flops = 0;
    double end = seconds_now() + seconds;
    do {
        double start = seconds_now();
        sink += probe(100000, &flops);
        double rate = flops / (seconds_now() - start);
        if (rate > best) best = rate;
    } while (seconds_now() < end);
    (void)sink;
    return best;
}

csimd_status csimd_measure_bandwidth(csimd_memory_pattern pattern, size_t bytes, void *block, double seconds,
                                     double *bytes_per_second) {
    bool aligned = (uintptr_t)block % CSIMD_ALIGNMENT == 0;
    if ((unsigned)pattern > CSIMD_MEMORY_STREAM || bytes == 0 || bytes % (2 * csimd_memory_probe_step) != 0 || !aligned)
        return CSIMD_INVALID_ARGUMENT;
    float (*probe)(csimd_memory_pattern, size_t, float *) = csimd_kernels()->memory_probe;
    volatile float sink = probe(pattern, bytes, block);  // not timed: brings the block into its cache
    double passes = 0, start = seconds_now(), elapsed;
    do {
        // Short passes share one reading of the clock.
        for (size_t moved = 0; moved < 1 << 20; moved += bytes, passes++) sink = probe(pattern, bytes, block);
        elapsed = seconds_now() - start;
    } while (elapsed < seconds);
    (void)sink;
    *bytes_per_second = passes * (double)bytes / elapsed;
    return CSIMD_OK;
}
