// Drivers of csimd_unary and csimd_binary: checks, joining of rows, threads.
#include "elementwise.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"

// Elements worth a thread: one converts or adds some 10^5 of them in the microseconds that a start costs, and computes an
// eighth as many exponentials.
static const double cheap_elements_a_thread = 131072, costly_elements_a_thread = 16384;

// Cuts fall on whole cache lines of every type.
enum { share_multiple = 64 };

static bool unary_is_costly(csimd_unary_op op, csimd_type type) {
    switch (op) {
    case CSIMD_EXP:
    case CSIMD_LOG:
    case CSIMD_TANH:
    case CSIMD_SIGMOID:
    case CSIMD_GELU:
    case CSIMD_SILU:
    case CSIMD_POWER:
        return true;
    default:
        return type == CSIMD_F64;
    }
}

csimd_status csimd_unary(csimd_unary_op op, csimd_type type, size_t count, const void *x, double p, double q, void *y) {
    if ((unsigned)op > CSIMD_SCALE_SHIFT || !csimd_type_valid(type)) return CSIMD_INVALID_ARGUMENT;
    if (count == 0) return CSIMD_OK;
    const csimd_elementwise_kernels *kernels = csimd_kernels()->elementwise;
    const double grain = unary_is_costly(op, type) ? costly_elements_a_thread : cheap_elements_a_thread;
    const int threads = csimd_threads_for((double)count, grain);
    if (threads == 1) {
        kernels->unary(op, type, count, x, p, q, y);
        return CSIMD_OK;
    }
    const size_t size = csimd_type_size(type);
#pragma omp parallel num_threads(threads)
    {
        size_t begin, end;
        csimd_share(count, share_multiple, omp_get_thread_num(), omp_get_num_threads(), &begin, &end);
        kernels->unary(op, type, end - begin, (const char *)x + begin * size, p, q, (char *)y + begin * size);
    }
    return CSIMD_OK;
}

static bool binary_is_costly(csimd_binary_op op, csimd_type type) {
    return op == CSIMD_GELU_GRADIENT || op == CSIMD_SILU_GRADIENT || type == CSIMD_F64;
}

// One long row: contiguous, or one element for all.
static bool joins(csimd_operand operand, size_t columns) { return operand.row_stride == columns * operand.column_stride; }

static csimd_operand moved(csimd_operand operand, csimd_type type, size_t row, size_t column) {
    const size_t elements = row * operand.row_stride + column * operand.column_stride;
    operand.base = (const char *)operand.base + elements * csimd_type_size(type);
    return operand;
}

csimd_status csimd_binary(csimd_binary_op op, csimd_type type, size_t rows, size_t columns, csimd_operand a, csimd_operand b,
                          void *y) {
    size_t count;
    if ((unsigned)op > CSIMD_ABS_GRADIENT || !csimd_type_valid(type) || a.column_stride > 1 || b.column_stride > 1 ||
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
    if (threads == 1) {
        kernels->binary(op, type, rows, columns, a, b, y);
        return CSIMD_OK;
    }
    const size_t size = csimd_type_size(type);
    const bool by_rows = rows >= (size_t)threads;
#pragma omp parallel num_threads(threads)
    {
        const int thread = omp_get_thread_num(), parts = omp_get_num_threads();
        size_t row = 0, row_end = rows, column = 0, column_end = columns;
        if (by_rows)
            csimd_share(rows, 1, thread, parts, &row, &row_end);
        else
            csimd_share(columns, share_multiple, thread, parts, &column, &column_end);
        if (by_rows) {
            kernels->binary(op, type, row_end - row, columns, moved(a, type, row, 0), moved(b, type, row, 0),
                            (char *)y + row * columns * size);
        } else {
            for (; row < row_end; row++)
                kernels->binary(op, type, 1, column_end - column, moved(a, type, row, column), moved(b, type, row, column),
                                (char *)y + (row * columns + column) * size);
        }
    }
    return CSIMD_OK;
}
