// Matrices turned round: how channels-first tensors become channels-last and back. Blocks of 32 x 32 elements pass through a
// tile in L1, so that both matrices are read and written along their rows: steps of a row of 4 KiB would fall on the same few
// lines of the cache. A tile's rows are one element longer for the same reason.
#include "conv.h"

#include "../support/parallel.h"

enum { BLOCK = 32 };

typedef struct {
    size_t size, rows, columns, bands, ldx, x_stride;
    const char *x;
    char *y;
} turn;

#define DEFINE_TURN(name, word)                                                                                                \
    static void name(const turn *t, const word *x, word *y, size_t i0) {                                                       \
        const size_t height = csimd_minimum(t->rows - i0, BLOCK);                                                              \
        for (size_t j0 = 0; j0 < t->columns; j0 += BLOCK) {                                                                    \
            const size_t width = csimd_minimum(t->columns - j0, BLOCK);                                                        \
            word tile[BLOCK][BLOCK + 1];                                                                                       \
            for (size_t j = 0; j < width; j++) memcpy(tile[j], x + (j0 + j) * t->ldx + i0, height * sizeof(word));             \
            for (size_t i = 0; i < height; i++)                                                                                \
                for (size_t j = 0; j < width; j++) y[(i0 + i) * t->columns + j0 + j] = tile[j][i];                             \
        }                                                                                                                      \
    }

DEFINE_TURN(turn_8, uint8_t)
DEFINE_TURN(turn_16, uint16_t)
DEFINE_TURN(turn_32, uint32_t)
DEFINE_TURN(turn_64, uint64_t)

// A band of BLOCK rows of the result.
static void turn_band(void *context, size_t index, size_t worker) {
    (void)worker;
    const turn *t = context;
    const size_t matrix = index / t->bands, i0 = index % t->bands * BLOCK;
    const void *x = t->x + matrix * t->x_stride * t->size;
    void *y = t->y + matrix * t->rows * t->columns * t->size;
    if (t->size == 1)
        turn_8(t, x, y, i0);
    else if (t->size == 2)
        turn_16(t, x, y, i0);
    else if (t->size == 4)
        turn_32(t, x, y, i0);
    else
        turn_64(t, x, y, i0);
}

csimd_status csimd_transpose(size_t size, size_t batch, size_t rows, size_t columns, const void *x, size_t x_stride, size_t ldx,
                             void *y) {
    if (size != 1 && size != 2 && size != 4 && size != 8) return CSIMD_INVALID_ARGUMENT;
    if (columns > 1 && ldx < rows) return CSIMD_INVALID_ARGUMENT;
    turn t = {.size = size,
              .rows = rows,
              .columns = columns,
              .bands = (rows + BLOCK - 1) / BLOCK,
              .ldx = ldx,
              .x_stride = x_stride,
              .x = x,
              .y = y};
    const int threads = csimd_threads_for((double)batch * (double)rows * (double)columns, 1e5);
    if (rows > 0 && columns > 0) csimd_run_tasks(batch * t.bands, threads, turn_band, &t);
    return CSIMD_OK;
}
