// CPUID and xgetbv: a feature counts only if the operating system saves its registers.
#define _GNU_SOURCE
#include "cpu_features.h"

#include <pthread.h>
#include <stdio.h>
#if CSIMD_X86 && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

static csimd_cpu detected;
static char feature_names[256];
static char model_name[64];
static pthread_once_t detect_once = PTHREAD_ONCE_INIT;

#if CSIMD_X86
#include <cpuid.h>

static void add_name(bool present, const char *name) {
    if (!present) return;
    size_t used = strlen(feature_names);
    snprintf(feature_names + used, sizeof feature_names - used, "%s%s", used ? " " : "", name);
}

static uint64_t enabled_register_state(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

static void detect(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    bool osxsave = c & (1u << 27);
    uint64_t state = osxsave ? enabled_register_state() : 0;
    bool ymm = (state & 0x6) == 0x6;
    bool zmm = (state & 0xE6) == 0xE6;
    bool tiles = (state & 0x60000) == 0x60000;
    detected.fma = ymm && (c & (1u << 12));
    detected.f16c = ymm && (c & (1u << 29));
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        unsigned subleaves = a;
        bool bmi = (b & (1u << 3)) && (b & (1u << 8));
        detected.avx2 = ymm && bmi && (b & (1u << 5));
        detected.avx512 =
            zmm && bmi && (b & (1u << 16)) && (b & (1u << 17)) && (b & (1u << 28)) && (b & (1u << 30)) && (b & (1u << 31));
        detected.avx512_vnni = zmm && (c & (1u << 11));
        detected.avx512_fp16 = zmm && (d & (1u << 23));
        detected.amx_bf16 = tiles && (d & (1u << 22)) && (d & (1u << 24));
        if (subleaves >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
            detected.avx_vnni = ymm && (a & (1u << 4));
            detected.avx512_bf16 = zmm && (a & (1u << 5));
            detected.amx_fp16 = tiles && (a & (1u << 21));
        }
    }
    unsigned brand[12] = {0};
    if (__get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x80000004u) {
        for (unsigned leaf = 0; leaf < 3; leaf++)
            __get_cpuid(0x80000002u + leaf, &brand[leaf * 4], &brand[leaf * 4 + 1], &brand[leaf * 4 + 2], &brand[leaf * 4 + 3]);
    }
    memcpy(model_name, brand, sizeof brand);
    add_name(detected.avx2, "avx2");
    add_name(detected.fma, "fma");
    add_name(detected.f16c, "f16c");
    add_name(detected.avx_vnni, "avx_vnni");
    add_name(detected.avx512, "avx512f+bw+cd+dq+vl");
    add_name(detected.avx512_vnni, "avx512_vnni");
    add_name(detected.avx512_bf16, "avx512_bf16");
    add_name(detected.avx512_fp16, "avx512_fp16");
    add_name(detected.amx_bf16, "amx_bf16");
    add_name(detected.amx_fp16, "amx_fp16");
}
#else
static void detect(void) { snprintf(model_name, sizeof model_name, "unknown"); }
#endif

#if CSIMD_X86 && defined(__linux__)
static bool tiles_allowed;
static pthread_once_t tiles_once = PTHREAD_ONCE_INIT;

static void ask_for_tiles(void) {
    enum { request_permission = 0x1023, tile_data = 18 };  // ARCH_REQ_XCOMP_PERM, the tiles' place in XCR0
    tiles_allowed = syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

bool csimd_cpu_allows_tiles(void) {
    pthread_once(&tiles_once, ask_for_tiles);
    return tiles_allowed;
}
#else
bool csimd_cpu_allows_tiles(void) { return true; }
#endif

const csimd_cpu *csimd_cpu_detect(void) {
    pthread_once(&detect_once, detect);
    return &detected;
}

const char *csimd_cpu_features(void) {
    csimd_cpu_detect();
    return feature_names;
}

const char *csimd_cpu_model(void) {
    csimd_cpu_detect();
    return model_name;
}
