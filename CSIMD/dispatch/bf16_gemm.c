// Which kernel multiplies two bf16 matrices: the widening one, the CPU's own dot product, or, only where it was asked for, its
// matrix tiles. On Zen 4 and 5 the instruction has
// twice the rate of float32 multiply-adds, on a Xeon without AMX half of it: measured, not looked up (docs/decisions/0003).
#include "kernel_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { DEPTH = 256, TILES = 8, ROUNDS = 96 };  // 14 x 32 x 256: A's rows and B's panel in L1; 8 tiles take 3 to 8 us

static csimd_bf16_gemm default_choice;
static csimd_bf16_reason default_reason;
static pthread_once_t default_once = PTHREAD_ONCE_INIT;
static atomic_int process_choice = -1;
static _Thread_local int thread_choice = -1;

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// One tile's operands as `kernels` pack them, and its sums.
typedef struct {
    const csimd_gemm_kernels *kernels;
    float *a, *b, *c;
} tile_operands;

static double seconds_of_tiles(const tile_operands *t) {
    const csimd_gemm_kernels *kernels = t->kernels;
    const double start = seconds_now();
    for (int i = 0; i < TILES; i++)
        kernels->multiply(kernels->mr, kernels->nr, DEPTH, t->a, false, t->b, false, t->c, kernels->nr);
    return seconds_now() - start;
}

// The best row that has a native kernel which this machine can run, or NULL.
static const csimd_row *row_with_native(void) {
    for (size_t row = 0; row < csimd_row_count(); row++)
        if (csimd_row_has_native_bf16(row)) return csimd_row_at(row);
    return NULL;
}

bool csimd_row_has_native_bf16(size_t row) { return csimd_row_supported(row) && csimd_native_bf16(csimd_row_at(row)) != NULL; }

// By turns, and the least time of each: whatever else runs slows single rounds, never makes one faster.
bool csimd_measure_bf16_gemm(double *widening, double *native) {
    const csimd_row *row = row_with_native();
    if (row == NULL) return false;
    const csimd_gemm_kernels *both[2] = {row->gemm, csimd_native_bf16(row)};
    const size_t mr = row->gemm->mr, nr = row->gemm->nr;
    const size_t elements = csimd_round_up((mr + nr) * DEPTH, 64);
    size_t floats = elements;
    for (int i = 0; i < 2; i++)
        floats += both[i]->mr * both[i]->a_row_stride + both[i]->nr * (DEPTH + 2) + both[i]->mr * both[i]->nr;
    float *memory = NULL;
    if (posix_memalign((void **)&memory, CSIMD_ALIGNMENT, floats * sizeof(float)) != 0) return false;

    csimd_bf16 *ones = (csimd_bf16 *)(void *)memory;
    for (size_t i = 0; i < (mr + nr) * DEPTH; i++) ones[i].bits = 0x3F80;
    float *next = memory + elements;
    tile_operands tiles[2];
    for (int i = 0; i < 2; i++) {
        tiles[i] = (tile_operands){.kernels = both[i], .b = next};
        tiles[i].c = tiles[i].b + both[i]->nr * (DEPTH + 2);
        tiles[i].a = tiles[i].c + both[i]->mr * both[i]->nr;
        next = tiles[i].a + both[i]->mr * both[i]->a_row_stride;
        both[i]->pack_a_rows(CSIMD_BF16, ones, DEPTH, both[i]->mr, DEPTH, tiles[i].a);
        both[i]->pack_b_rows(CSIMD_BF16, ones + mr * DEPTH, nr, DEPTH, nr, tiles[i].b);
    }
    double least[2] = {INFINITY, INFINITY};
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < 2; i++) least[i] = fmin(least[i], seconds_of_tiles(&tiles[i]));
    free(memory);
    const double flops = 2.0 * TILES * DEPTH * (double)(mr * nr);
    *widening = flops / least[0];
    *native = flops / least[1];
    return true;
}

// The kernels of a row for a choice, or NULL where it has none that this CPU or, for tests, this thread can run.
static const csimd_gemm_kernels *kernels_of(const csimd_row *row, csimd_bf16_gemm choice) {
    if (choice == CSIMD_WIDEN) return row->gemm;
    if (choice == CSIMD_NATIVE) return csimd_native_bf16(row);
    if (row->gemm_amx == NULL) return NULL;
    if (row->has_gemm_amx(csimd_cpu_detect())) return row->gemm_amx;
    return csimd_thread_emulates() && csimd_native_bf16(row) != NULL ? row->gemm_amx_emulated : NULL;
}

static void choose_default(void) {
    static const char *const names[] = {"widen", "native", "amx"};
    const char *wanted = getenv("CSIMD_BF16_GEMM");
    double rates[2];
    for (int choice = CSIMD_WIDEN; wanted != NULL && choice <= CSIMD_AMX; choice++) {
        if (strcmp(wanted, names[choice]) != 0 || kernels_of(csimd_kernels(), (csimd_bf16_gemm)choice) == NULL) continue;
        default_reason = CSIMD_BF16_BY_ENVIRONMENT;
        default_choice = (csimd_bf16_gemm)choice;
        return;
    }
    if (csimd_measure_bf16_gemm(&rates[0], &rates[1])) {
        default_reason = CSIMD_BF16_BY_MEASUREMENT;
        default_choice = rates[1] >= CSIMD_BF16_MARGIN * rates[0] ? CSIMD_NATIVE : CSIMD_WIDEN;
    }
}

// The choice and who made it, for the row that this thread uses.
static csimd_bf16_gemm choose(csimd_bf16_reason *reason) {
    *reason = CSIMD_BF16_BY_ABSENCE;
    const csimd_row *row = csimd_kernels();
    if (csimd_native_bf16(row) == NULL) return CSIMD_WIDEN;
    *reason = CSIMD_BF16_BY_THREAD;
    if (thread_choice >= 0 && kernels_of(row, (csimd_bf16_gemm)thread_choice) != NULL) return (csimd_bf16_gemm)thread_choice;
    *reason = CSIMD_BF16_BY_PROCESS;
    const int process = atomic_load_explicit(&process_choice, memory_order_relaxed);
    if (process >= 0 && kernels_of(row, (csimd_bf16_gemm)process) != NULL) return (csimd_bf16_gemm)process;
    pthread_once(&default_once, choose_default);
    *reason = default_reason;
    return default_choice;
}

csimd_bf16_gemm csimd_active_bf16_gemm(void) {
    csimd_bf16_reason reason;
    return choose(&reason);
}

csimd_bf16_reason csimd_bf16_gemm_reason(void) {
    csimd_bf16_reason reason;
    choose(&reason);
    return reason;
}

const csimd_gemm_kernels *csimd_chosen_bf16(const csimd_row *row) { return kernels_of(row, csimd_active_bf16_gemm()); }

static bool may_choose(int choice) {
    const csimd_row *row = row_with_native();
    if (choice < 0 || choice == CSIMD_WIDEN) return true;
    return choice <= CSIMD_AMX && row != NULL && kernels_of(row, (csimd_bf16_gemm)choice) != NULL;
}

csimd_status csimd_set_bf16_gemm(int choice) {
    if (!may_choose(choice)) return CSIMD_INVALID_ARGUMENT;
    atomic_store(&process_choice, choice < 0 ? -1 : choice);
    return CSIMD_OK;
}

int csimd_thread_bf16_gemm(void) { return thread_choice; }

csimd_status csimd_set_thread_bf16_gemm(int choice) {
    if (!may_choose(choice)) return CSIMD_INVALID_ARGUMENT;
    thread_choice = choice < 0 ? -1 : choice;
    return CSIMD_OK;
}
