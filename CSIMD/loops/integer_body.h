// Integer arithmetic, modulo the type's range; quotients truncate, by zero they are 0. Bool is computed as 0 and 1; a result
// that is not 0 is 1. Quotients of 32 and 8 bits are taken in floating point, which holds both operands: the truncated quotient
// of two integers of at most half the significand's bits is exact.

#define LEFT(type) (((const type *restrict)a)[i])
#define RIGHT(type) (((const type *restrict)b)[i])

static inline __attribute__((always_inline)) int32_t quotient_i32(int32_t a, int32_t b) {
    const double quotient = (double)a / (b == 0 ? 1.0 : (double)b);
    const int32_t truncated = quotient < 2147483648.0 ? (int32_t)quotient : INT32_MIN;  // -2^31 / -1
    return b == 0 ? 0 : truncated;
}

static inline __attribute__((always_inline)) uint8_t quotient_u8(uint8_t a, uint8_t b) {
    const float quotient = (float)a / (b == 0 ? 1.0f : (float)b);
    return b == 0 ? 0 : (uint8_t)quotient;
}

static inline __attribute__((always_inline)) int64_t quotient_i64(int64_t a, int64_t b) {
    if (b == 0) return 0;
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

#define ARITHMETIC_CASE(op, type, expression)                                                                                  \
    case op:                                                                                                                   \
        for (size_t i = 0; i < count; i++) ((type *restrict)y)[i] = (type)(expression);                                        \
        return;

#define DEFINE_ARITHMETIC(name, type, unsigned_type, quotient)                                                                 \
    static void name(csimd_binary_op op, size_t count, const void *restrict a, const void *restrict b, void *restrict y) {     \
        switch (op) {                                                                                                          \
            ARITHMETIC_CASE(CSIMD_ADD, type, (unsigned_type)LEFT(type) + (unsigned_type)RIGHT(type))                           \
            ARITHMETIC_CASE(CSIMD_SUBTRACT, type, (unsigned_type)LEFT(type) - (unsigned_type)RIGHT(type))                      \
            ARITHMETIC_CASE(CSIMD_MULTIPLY, type, (unsigned_type)LEFT(type) * (unsigned_type)RIGHT(type))                      \
            ARITHMETIC_CASE(CSIMD_DIVIDE, type, quotient(LEFT(type), RIGHT(type)))                                             \
            ARITHMETIC_CASE(CSIMD_MAXIMUM, type, LEFT(type) > RIGHT(type) ? LEFT(type) : RIGHT(type))                          \
            ARITHMETIC_CASE(CSIMD_MINIMUM, type, LEFT(type) < RIGHT(type) ? LEFT(type) : RIGHT(type))                          \
        default:                                                                                                               \
            return;                                                                                                            \
        }                                                                                                                      \
    }

DEFINE_ARITHMETIC(arithmetic_i32, int32_t, uint32_t, quotient_i32)
DEFINE_ARITHMETIC(arithmetic_i64, int64_t, uint64_t, quotient_i64)
DEFINE_ARITHMETIC(arithmetic_u8, uint8_t, uint32_t, quotient_u8)

// Sum and difference of two of 0 and 1 are never 256, so that 8 bits keep whether they are 0.
static void arithmetic_bool(csimd_binary_op op, size_t count, const void *a, const void *b, uint8_t *y) {
    arithmetic_u8(op, count, a, b, y);
    for (size_t i = 0; i < count; i++) y[i] = y[i] != 0;
}

static void arithmetic(csimd_binary_op op, csimd_element type, size_t count, const void *a, const void *b, void *y) {
    if (type == CSIMD_I32)
        arithmetic_i32(op, count, a, b, y);
    else if (type == CSIMD_I64)
        arithmetic_i64(op, count, a, b, y);
    else if (type == CSIMD_U8)
        arithmetic_u8(op, count, a, b, y);
    else
        arithmetic_bool(op, count, a, b, y);
}

#define DEFINE_SUM(suffix, type)                                                                                               \
    static int64_t sum_##suffix(size_t count, const type *x) {                                                                 \
        uint64_t total = 0;                                                                                                    \
        for (size_t i = 0; i < count; i++) total += (uint64_t)x[i];                                                            \
        return (int64_t)total;                                                                                                 \
    }

DEFINE_SUM(i32, int32_t)
DEFINE_SUM(i64, int64_t)

#define DEFINE_REDUCE(suffix, type)                                                                                            \
    static int64_t max_##suffix(size_t count, const type *x) {                                                                 \
        type best = x[0];                                                                                                      \
        for (size_t i = 1; i < count; i++) best = x[i] > best ? x[i] : best;                                                   \
        return (int64_t)best;                                                                                                  \
    }                                                                                                                          \
    static void columns_##suffix(csimd_reduce_op op, size_t rows, size_t columns, size_t row_stride, const type *x,            \
                                 int64_t *restrict y) {                                                                        \
        for (size_t j = 0; j < rows; j++) {                                                                                    \
            const type *restrict row = x + j * row_stride;                                                                     \
            if (op == CSIMD_SUM)                                                                                               \
                for (size_t k = 0; k < columns; k++) y[k] = (int64_t)((uint64_t)y[k] + (uint64_t)row[k]);                      \
            else                                                                                                               \
                for (size_t k = 0; k < columns; k++) y[k] = row[k] > y[k] ? row[k] : y[k];                                     \
        }                                                                                                                      \
    }

DEFINE_REDUCE(i32, int32_t)
DEFINE_REDUCE(i64, int64_t)
DEFINE_REDUCE(u8, uint8_t)

// Bytes in runs whose sums 32 bits hold.
static int64_t sum_bytes(size_t count, const uint8_t *x) {
    enum { run = 1 << 16 };
    int64_t total = 0;
    for (size_t begin = 0; begin < count; begin += run) {
        uint32_t part = 0;
        const size_t length = csimd_minimum(run, count - begin);
        for (size_t i = 0; i < length; i++) part += x[begin + i];
        total += part;
    }
    return total;
}

static int64_t reduce_row(csimd_reduce_op op, csimd_element type, size_t count, const void *x) {
    if (count == 0) return op == CSIMD_SUM ? 0 : INT64_MIN;
    if (type == CSIMD_I32) return op == CSIMD_SUM ? sum_i32(count, x) : max_i32(count, x);
    if (type == CSIMD_I64) return op == CSIMD_SUM ? sum_i64(count, x) : max_i64(count, x);
    return op == CSIMD_SUM ? sum_bytes(count, x) : max_u8(count, x);
}

static void reduce_columns(csimd_reduce_op op, csimd_element type, size_t rows, size_t columns, size_t row_stride,
                           const void *x, int64_t *y) {
    if (type == CSIMD_I32)
        columns_i32(op, rows, columns, row_stride, x, y);
    else if (type == CSIMD_I64)
        columns_i64(op, rows, columns, row_stride, x, y);
    else
        columns_u8(op, rows, columns, row_stride, x, y);
}
