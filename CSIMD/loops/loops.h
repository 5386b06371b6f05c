// Kernels of the family "loops": comparisons, selection, integer arithmetic and casts from and to integers, as plain loops that
// the compiler vectorises for each instruction set. The drivers (compare.c, integer.c, cast.c) check arguments and thread.
#ifndef CSIMD_LOOPS_H
#define CSIMD_LOOPS_H

#include "../support/internal.h"

typedef struct {
    // y[i] = a[i] op b[i], of b[0] for all where `repeats`.
    void (*compare)(csimd_comparison op, csimd_element type, size_t count, const void *a, const void *b, bool repeats,
                    uint8_t *y);
    // y[i] = condition[i] ? a[i] : b[i], of elements of `size` bytes.
    void (*select)(size_t size, size_t count, const uint8_t *condition, const void *a, const void *b, void *y);
    void (*arithmetic)(csimd_binary_op op, csimd_element type, size_t count, const void *a, const void *b, void *y);
    // Sum, modulo 2^64, or maximum of x[0 ..< count].
    int64_t (*reduce_row)(csimd_reduce_op op, csimd_element type, size_t count, const void *x);
    // The same down each column of x [rows, columns], combined with y[k].
    void (*reduce_columns)(csimd_reduce_op op, csimd_element type, size_t rows, size_t columns, size_t row_stride,
                           const void *x, int64_t *y);
    // From and to f32, f64 and the integers, not between the former two. `odd`: an integer that float32 does not hold becomes
    // the neighbour whose last bit is set, which rounds to 16 bits as the integer does.
    void (*cast)(csimd_element from, const void *x, csimd_element to, bool odd, void *y, size_t count);
} csimd_loops_kernels;

static inline bool csimd_is_integer(csimd_element type) { return type >= CSIMD_I32 && type <= CSIMD_BOOL; }

static inline size_t csimd_element_size(csimd_element type) {
    switch (type) {
    case CSIMD_I32:
        return 4;
    case CSIMD_I64:
        return 8;
    case CSIMD_U8:
    case CSIMD_BOOL:
        return 1;
    default:
        return csimd_type_size((csimd_type)type);
    }
}

extern const csimd_loops_kernels csimd_loops_kernels_ref;
#if CSIMD_X86
extern const csimd_loops_kernels csimd_loops_kernels_avx2;
extern const csimd_loops_kernels csimd_loops_kernels_avx512;
#endif

#endif
