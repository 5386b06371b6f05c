// Drivers of csimd_unary and csimd_binary: checks, joining of rows, threads.
#include "elementwise.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

// Elements worth a thread: one converts or adds some 10^5 of them in the microseconds that a start costs, and computes an
// eighth as many exponentials.
static const double cheap_elements_a_thread = 131072, costly_elements_a_thread = 16384;

// Cuts fall on whole cache lines of every type.
enum { share_multiple = 64, parts_a_thread = 4 };

static size_t parts_for(int threads) { return threads == 1 ? 1 : (size_t)threads * parts_a_thread; }

static bool unary_is_costly(csimd_unary_op op, csimd_type type) {
    switch (op) {
    case CSIMD_EXP:
    case CSIMD_LOG:
    case CSIMD_TANH:
    case CSIMD_SIGMOID:
    case CSIMD_GELU:
    case CSIMD_GELU_TANH:
    case CSIMD_SILU:
    case CSIMD_POWER:
        return true;
    default:
        return type == CSIMD_F64;
    }
}

typedef struct {
    const csimd_elementwise_kernels *kernels;
    csimd_unary_op op;
    csimd_type type;
    size_t count, parts;
    const void *x;
    double p, q;
    void *y;
    bool stream;
} unary_call;

static void unary_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const unary_call *c = context;
    const size_t size = csimd_type_size(c->type);
    size_t begin, end;
    csimd_share(c->count, share_multiple, part, c->parts, &begin, &end);
    c->kernels->unary(c->op, c->type, end - begin, (const char *)c->x + begin * size, c->p, c->q, (char *)c->y + begin * size,
                      c->stream);
}

csimd_status csimd_unary(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y) {
    if ((unsigned)op > CSIMD_SCALE_SHIFT || !csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    const csimd_elementwise_kernels *kernels = csimd_kernels()->elementwise;
    const double grain = unary_is_costly(op, type) ? costly_elements_a_thread : cheap_elements_a_thread;
    const int threads = csimd_threads_for((double)count, grain);
    const bool stream = x != y && count >= CSIMD_STREAM_BYTES / (2 * csimd_type_size(type));
    unary_call all = {kernels, op, type, count, parts_for(threads), x, p, q, y, stream};
    csimd_run_tasks(all.parts, threads, unary_part, &all);
    return CSIMD_OK;
}

static bool binary_is_costly(csimd_binary_op op, csimd_type type) {
    return op == CSIMD_EXP_GRADIENT || op == CSIMD_GELU_GRADIENT || op == CSIMD_GELU_TANH_GRADIENT ||
           op == CSIMD_SILU_GRADIENT || type == CSIMD_F64;
}

// One long row: contiguous, or one element for all.
static bool joins(csimd_operand operand, size_t columns) { return operand.row_stride == columns * operand.column_stride; }

static csimd_operand moved(csimd_operand operand, csimd_type type, size_t row, size_t column) {
    const size_t elements = row * operand.row_stride + column * operand.column_stride;
    operand.base = (const char *)operand.base + elements * csimd_type_size(type);
    return operand;
}

// An element for each of the result.
static bool is_as_large(csimd_operand operand, size_t rows, size_t columns) {
    return (operand.column_stride != 0 || columns == 1) && (operand.row_stride != 0 || rows == 1);
}

typedef struct {
    const csimd_elementwise_kernels *kernels;
    csimd_binary_op op;
    csimd_type type;
    size_t rows, columns, parts;
    bool by_rows;
    csimd_operand a, b;
    void *y;
    bool stream;
} binary_call;

static void binary_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const binary_call *c = context;
    const size_t size = csimd_type_size(c->type);
    size_t begin, end;
    if (c->by_rows) {
        csimd_share(c->rows, 1, part, c->parts, &begin, &end);
        c->kernels->binary(c->op, c->type, end - begin, c->columns, moved(c->a, c->type, begin, 0),
                           moved(c->b, c->type, begin, 0), (char *)c->y + begin * c->columns * size, c->stream);
        return;
    }
    csimd_share(c->columns, share_multiple, part, c->parts, &begin, &end);
    for (size_t row = 0; row < c->rows; row++)
        c->kernels->binary(c->op, c->type, 1, end - begin, moved(c->a, c->type, row, begin), moved(c->b, c->type, row, begin),
                           (char *)c->y + (row * c->columns + begin) * size, c->stream);
}

csimd_status csimd_binary(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                          void *y) {
    size_t count;
    if ((unsigned)op > CSIMD_SILU_MULTIPLY || !csimd_type_valid(type) || a.column_stride > 1 || b.column_stride > 1 ||
        __builtin_mul_overflow(rows, columns, &count))
        return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    if (columns == 1 && a.row_stride <= 1 && b.row_stride <= 1) {
        columns = rows, rows = 1;
        a.column_stride = a.row_stride, b.column_stride = b.row_stride;
    } else if (joins(a, columns) && joins(b, columns)) {
        columns = count, rows = 1;
    }
    const csimd_elementwise_kernels *kernels = csimd_kernels()->elementwise;
    const double grain = binary_is_costly(op, type) ? costly_elements_a_thread : cheap_elements_a_thread;
    const int threads = csimd_threads_for((double)count, grain);
    const size_t parts = parts_for(threads);
    const size_t arrays = 1 + is_as_large(a, rows, columns) + is_as_large(b, rows, columns);
    // Rows that end inside a cache line would be written to memory in pieces: 400 bytes long they took up to 1.4 times as long.
    const bool whole_lines = rows == 1 || columns * csimd_type_size(type) % CSIMD_ALIGNMENT == 0;
    const bool stream =
        whole_lines && a.base != y && b.base != y && count >= CSIMD_STREAM_BYTES / (arrays * csimd_type_size(type));
    binary_call all = {kernels, op, type, rows, columns, parts, rows >= parts, a, b, y, stream};
    csimd_run_tasks(parts, threads, binary_part, &all);
    return CSIMD_OK;
}

typedef struct {
    const csimd_elementwise_kernels *kernels;
    csimd_type type;
    size_t count, parts;
    const char *gate, *x, *dy;
    char *gate_gradient, *x_gradient;
} gated_call;

static void gated_part(void *context, size_t part, size_t worker) {
    (void)worker;
    const gated_call *c = context;
    size_t begin, end;
    csimd_share(c->count, share_multiple, part, c->parts, &begin, &end);
    const size_t at = begin * csimd_type_size(c->type);
    c->kernels->silu_multiply_gradient(c->type, end - begin, c->gate + at, c->x + at, c->dy + at,
                                       c->gate_gradient == NULL ? NULL : c->gate_gradient + at,
                                       c->x_gradient == NULL ? NULL : c->x_gradient + at);
}

csimd_status csimd_silu_multiply_gradient(csimd_type type, size_t count, const void *gate, const void *x, const void *dy,
                                          void *gate_gradient, void *x_gradient) {
    if (!csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    const int threads = csimd_threads_for((double)count, costly_elements_a_thread);
    gated_call all = {csimd_kernels()->elementwise, type, count, parts_for(threads), gate, x, dy, gate_gradient, x_gradient};
    csimd_run_tasks(all.parts, threads, gated_part, &all);
    return CSIMD_OK;
}
