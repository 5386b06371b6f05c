// Casts from and to integers. To integers: truncated towards zero and saturated, NaN 0. From integers: rounded once, to nearest
// even. Between integers: the low bits. To bool: whether not zero.

// x is strictly between low and high where it is truncated.
#define TRUNCATED(type, x, above, below, low, high)                                                                            \
    ((type)((x) > (above) && (x) < (below) ? (x) : 0) + ((x) >= (below) ? (high) : 0) + ((x) <= (above) ? (low) : 0))

#define CAST_LOOP(source, target, expression)                                                                                  \
    do {                                                                                                                       \
        const source *restrict from_x = x;                                                                                     \
        target *restrict to_y = y;                                                                                             \
        for (size_t i = 0; i < count; i++) {                                                                                   \
            const source value = from_x[i];                                                                                    \
            to_y[i] = (target)(expression);                                                                                    \
        }                                                                                                                      \
    } while (0)

// The limits of int32 are no float32: -2^31 itself saturates to what it is.
static void cast_f32_to_integer(const void *x, csimd_element to, void *y, size_t count) {
    if (to == CSIMD_I32)
        CAST_LOOP(float, int32_t, TRUNCATED(int32_t, value, -0x1p31f, 0x1p31f, INT32_MIN, INT32_MAX));
    else if (to == CSIMD_I64)
        CAST_LOOP(float, int64_t, TRUNCATED(int64_t, value, -0x1p63f, 0x1p63f, INT64_MIN, INT64_MAX));
    else if (to == CSIMD_U8)
        CAST_LOOP(float, uint8_t, TRUNCATED(int32_t, value, -1.0f, 256.0f, 0, 255));
    else
        CAST_LOOP(float, uint8_t, value != 0);
}

static void cast_f64_to_integer(const void *x, csimd_element to, void *y, size_t count) {
    if (to == CSIMD_I32)
        CAST_LOOP(double, int32_t, TRUNCATED(int32_t, value, -0x1p31 - 1, 0x1p31, INT32_MIN, INT32_MAX));
    else if (to == CSIMD_I64)
        CAST_LOOP(double, int64_t, TRUNCATED(int64_t, value, -0x1p63, 0x1p63, INT64_MIN, INT64_MAX));
    else if (to == CSIMD_U8)
        CAST_LOOP(double, uint8_t, TRUNCATED(int32_t, value, -1.0, 256.0, 0, 255));
    else
        CAST_LOOP(double, uint8_t, value != 0);
}

// A float64 whose rounding to at most 24 bits is x's: beyond 2^53 the last 11 bits become one that says whether there are any.
static inline __attribute__((always_inline)) double jammed(int64_t x) {
    const uint64_t magnitude = x < 0 ? 0 - (uint64_t)x : (uint64_t)x, rest = magnitude & 0x7FF;
    const uint64_t shortened = (magnitude - rest) | (rest != 0 ? 0x800u : 0u);
    const double value = (double)(int64_t)((magnitude >> 53 != 0 ? shortened : magnitude) & INT64_MAX);
    const double size = x == INT64_MIN ? 0x1p63 : value;
    return x < 0 ? -size : size;
}

// As csimd_f64_to_f32_odd, without a branch.
static inline __attribute__((always_inline)) float odd_of(double x) {
    const float nearest = (float)x;
    const double back = (double)nearest;
    const uint32_t bits = csimd_bits_of_f32(nearest), below = fabs(back) > fabs(x) ? bits - 1 : bits;
    return csimd_f32_of_bits(back != x ? below | 1u : bits);
}

static void cast_integer_to_f32(csimd_element from, const void *x, bool odd, void *y, size_t count) {
    if (from == CSIMD_I32 && odd)
        CAST_LOOP(int32_t, float, odd_of((double)value));
    else if (from == CSIMD_I32)
        CAST_LOOP(int32_t, float, value);
    else if (from == CSIMD_I64 && odd)
        CAST_LOOP(int64_t, float, odd_of(jammed(value)));
    else if (from == CSIMD_I64)
        CAST_LOOP(int64_t, float, value);
    else
        CAST_LOOP(uint8_t, float, value);
}

static void cast_integer_to_f64(csimd_element from, const void *x, void *y, size_t count) {
    if (from == CSIMD_I32)
        CAST_LOOP(int32_t, double, value);
    else if (from == CSIMD_I64)
        CAST_LOOP(int64_t, double, value);
    else
        CAST_LOOP(uint8_t, double, value);
}

#define CAST_BETWEEN(source)                                                                                                   \
    do {                                                                                                                       \
        if (to == CSIMD_I32)                                                                                                   \
            CAST_LOOP(source, int32_t, value);                                                                                 \
        else if (to == CSIMD_I64)                                                                                              \
            CAST_LOOP(source, int64_t, value);                                                                                 \
        else if (to == CSIMD_U8)                                                                                               \
            CAST_LOOP(source, uint8_t, value);                                                                                 \
        else                                                                                                                   \
            CAST_LOOP(source, uint8_t, value != 0);                                                                            \
    } while (0)

static void cast_between_integers(csimd_element from, const void *x, csimd_element to, void *y, size_t count) {
    if (from == CSIMD_I32)
        CAST_BETWEEN(int32_t);
    else if (from == CSIMD_I64)
        CAST_BETWEEN(int64_t);
    else
        CAST_BETWEEN(uint8_t);
}

static void cast(csimd_element from, const void *x, csimd_element to, bool odd, void *y, size_t count) {
    if (from == CSIMD_F32)
        cast_f32_to_integer(x, to, y, count);
    else if (from == CSIMD_F64)
        cast_f64_to_integer(x, to, y, count);
    else if (to == CSIMD_F32)
        cast_integer_to_f32(from, x, odd, y, count);
    else if (to == CSIMD_F64)
        cast_integer_to_f64(from, x, y, count);
    else
        cast_between_integers(from, x, to, y, count);
}
