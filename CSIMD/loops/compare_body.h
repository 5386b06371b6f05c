// Comparison and selection. A file that includes it says what F16 widened is: F16_ELEMENT(array, index).

#define F32_ELEMENT(x, i) (((const float *)(x))[i])
#define F64_ELEMENT(x, i) (((const double *)(x))[i])
#define BF16_ELEMENT(x, i) csimd_bf16_to_f32(((const csimd_bf16 *)(x))[i])
#define I32_ELEMENT(x, i) (((const int32_t *)(x))[i])
#define I64_ELEMENT(x, i) (((const int64_t *)(x))[i])
#define U8_ELEMENT(x, i) (((const uint8_t *)(x))[i])

#define COMPARE_CASE(name, operator, element, right)                                                                           \
    case name:                                                                                                                 \
        for (size_t i = 0; i < count; i++) y[i] = element(a, i) operator(right);                                               \
        return;

#define COMPARE_ALL(element, right)                                                                                            \
    switch (op) {                                                                                                              \
        COMPARE_CASE(CSIMD_EQUAL, ==, element, right)                                                                          \
        COMPARE_CASE(CSIMD_NOT_EQUAL, !=, element, right)                                                                      \
        COMPARE_CASE(CSIMD_LESS, <, element, right)                                                                            \
        COMPARE_CASE(CSIMD_LESS_OR_EQUAL, <=, element, right)                                                                  \
        COMPARE_CASE(CSIMD_GREATER, >, element, right)                                                                         \
        COMPARE_CASE(CSIMD_GREATER_OR_EQUAL, >=, element, right)                                                               \
    }

#define DEFINE_COMPARE(name, type, element)                                                                                    \
    static void name(csimd_comparison op, size_t count, const void *restrict a, const void *restrict b, bool repeats,          \
                     uint8_t *restrict y) {                                                                                    \
        if (repeats) {                                                                                                         \
            const type value = element(b, 0);                                                                                  \
            COMPARE_ALL(element, value)                                                                                        \
        } else {                                                                                                               \
            COMPARE_ALL(element, element(b, i))                                                                                \
        }                                                                                                                      \
    }

DEFINE_COMPARE(compare_f32, float, F32_ELEMENT)
DEFINE_COMPARE(compare_f16, float, F16_ELEMENT)
DEFINE_COMPARE(compare_bf16, float, BF16_ELEMENT)
DEFINE_COMPARE(compare_f64, double, F64_ELEMENT)
DEFINE_COMPARE(compare_i32, int32_t, I32_ELEMENT)
DEFINE_COMPARE(compare_i64, int64_t, I64_ELEMENT)
DEFINE_COMPARE(compare_u8, uint8_t, U8_ELEMENT)

static void compare(csimd_comparison op, csimd_element type, size_t count, const void *a, const void *b, bool repeats,
                    uint8_t *y) {
    switch (type) {
    case CSIMD_F32:
        compare_f32(op, count, a, b, repeats, y);
        return;
    case CSIMD_F16:
        compare_f16(op, count, a, b, repeats, y);
        return;
    case CSIMD_BF16:
        compare_bf16(op, count, a, b, repeats, y);
        return;
    case CSIMD_F64:
        compare_f64(op, count, a, b, repeats, y);
        return;
    case CSIMD_I32:
        compare_i32(op, count, a, b, repeats, y);
        return;
    case CSIMD_I64:
        compare_i64(op, count, a, b, repeats, y);
        return;
    default:
        compare_u8(op, count, a, b, repeats, y);
        return;
    }
}

#define SELECT_CASE(bytes, word)                                                                                               \
    case bytes: {                                                                                                              \
        const word *restrict left = a, *restrict right = b;                                                                    \
        word *restrict chosen = y;                                                                                             \
        for (size_t i = 0; i < count; i++) {                                                                                   \
            const word yes = left[i], no = right[i];                                                                           \
            chosen[i] = condition[i] ? yes : no;                                                                               \
        }                                                                                                                      \
        return;                                                                                                                \
    }

static void select_elements(size_t size, size_t count, const uint8_t *restrict condition, const void *a, const void *b,
                            void *y) {
    switch (size) {
        SELECT_CASE(1, uint8_t)
        SELECT_CASE(2, uint16_t)
        SELECT_CASE(4, uint32_t)
        SELECT_CASE(8, uint64_t)
    }
}
