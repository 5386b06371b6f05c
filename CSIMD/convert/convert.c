// Drivers of csimd_convert and csimd_gather_normalize_u8: checks, threads, and when to store past the caches.
#include "convert.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

// A thread start costs a few microseconds, in which one thread converts some 10^5 elements.
static const double elements_a_thread = 131072;

// Cuts fall on whole cache lines of every type.
enum { share_multiple = 1024, parts_a_thread = 4 };

typedef struct {
    const csimd_convert_kernels *kernels;
    csimd_type from, to;
    const void *x;
    void *y;
    size_t count, parts;
    bool stream;
} conversion;

static void convert_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const conversion *c = context;
    size_t begin, end;
    csimd_share(c->count, share_multiple, part, c->parts, &begin, &end);
    c->kernels->convert(c->from, (const char *)c->x + begin * csimd_type_size(c->from), c->to,
                        (char *)c->y + begin * csimd_type_size(c->to), end - begin, c->stream);
}

csimd_status csimd_convert(csimd_type from, const void *x, csimd_type to, void *y, size_t count) {
    if (!csimd_type_valid(from) || !csimd_type_valid(to)) return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    const size_t from_size = csimd_type_size(from), to_size = csimd_type_size(to);
    if (x == y && from_size != to_size) return CSIMD_INVALID_ARGUMENT;
    const csimd_convert_kernels *kernels = csimd_kernels()->convert;
    const bool stream = x != y && count >= CSIMD_STREAM_BYTES / (from_size + to_size);
    const int threads = csimd_threads_for((double)count, elements_a_thread);
    const size_t parts = threads == 1 ? 1 : (size_t)threads * parts_a_thread;
    conversion all = {kernels, from, to, x, y, count, parts, stream};
    csimd_run_tasks(parts, threads, convert_part, &all);
    return CSIMD_OK;
}

csimd_status csimd_gather_normalize_u8(size_t rows, size_t row_length, const uint8_t *x, const int64_t *index, float scale,
                                       float shift, csimd_type to, void *y) {
    if (!csimd_type_valid(to)) return CSIMD_INVALID_ARGUMENT;
    if (index != NULL)
        for (size_t row = 0; row < rows; row++)
            if (index[row] < 0) return CSIMD_INVALID_ARGUMENT;
    if (row_length == 0) return CSIMD_OK;
    const csimd_convert_kernels *kernels = csimd_kernels()->convert;
    const size_t row_bytes = row_length * csimd_type_size(to);
    for (size_t row = 0; row < rows; row++) {
        size_t source = index != NULL ? (size_t)index[row] : row;
        kernels->normalize_u8(row_length, x + source * row_length, scale, shift, to, (char *)y + row * row_bytes);
    }
    return CSIMD_OK;
}
