// Matrices turned round: how channels-first tensors become channels-last and back. Blocks of 32 x 32 elements stay in L1, so
// that each cache line of either side is brought there once.
#include "conv.h"

#include "../support/parallel.h"

enum { BLOCK = 32 };

typedef struct {
    size_t size, rows, columns, ldx, x_stride;
    const char *x;
    char *y;
} turn;

#define TURN_BLOCK(word)                                                                                                       \
    for (size_t j = 0; j < width; j++)                                                                                         \
        for (size_t i = 0; i < height; i++)                                                                                    \
            ((word *)(void *)to)[i * t->columns + j] = ((const word *)(const void *)from)[j * t->ldx + i];

static void turn_matrix(void *context, size_t index, size_t worker) {
    (void)worker;
    const turn *t = context;
    const char *x = t->x + index * t->x_stride * t->size;
    char *y = t->y + index * t->rows * t->columns * t->size;
    for (size_t i0 = 0; i0 < t->rows; i0 += BLOCK)
        for (size_t j0 = 0; j0 < t->columns; j0 += BLOCK) {
            const size_t height = csimd_minimum(t->rows - i0, BLOCK), width = csimd_minimum(t->columns - j0, BLOCK);
            const char *from = x + (j0 * t->ldx + i0) * t->size;
            char *to = y + (i0 * t->columns + j0) * t->size;
            switch (t->size) {
            case 1:
                TURN_BLOCK(uint8_t)
                break;
            case 2:
                TURN_BLOCK(uint16_t)
                break;
            case 4:
                TURN_BLOCK(uint32_t)
                break;
            default:
                TURN_BLOCK(uint64_t)
                break;
            }
        }
}

csimd_status csimd_transpose(size_t size, size_t batch, size_t rows, size_t columns, const void *x, size_t x_stride, size_t ldx,
                             void *y) {
    if (size != 1 && size != 2 && size != 4 && size != 8) return CSIMD_INVALID_ARGUMENT;
    if (columns > 1 && ldx < rows) return CSIMD_INVALID_ARGUMENT;
    turn t = {.size = size, .rows = rows, .columns = columns, .ldx = ldx, .x_stride = x_stride, .x = x, .y = y};
    const int threads = csimd_threads_for((double)batch * (double)rows * (double)columns, 1e5);
    if (rows > 0 && columns > 0) csimd_run_tasks(batch, threads, turn_matrix, &t);
    return CSIMD_OK;
}
