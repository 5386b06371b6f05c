// Powers of f32, f16 and bf16 with one exponent for all, over support/vector_<isa>.h and support/wide_math_body.h. Exponents
// that a few operations compute have a loop of their own, bound by memory; all others are exp2(p log2 |x|) in float64: within
// 2^-36 of the result, then rounded to float32. Special values are those of C's pow.

#include "../support/wide_math_body.h"

typedef float narrow __attribute__((vector_size(32)));  // as many float32 as wide has float64

typedef enum {
    POWER_ONE,
    POWER_CUBE,
    POWER_ROOT,
    POWER_INVERSE,
    POWER_INVERSE_ROOT,
    POWER_INVERSE_SQUARE,
    POWER_ANY
} power_kind;

static power_kind power_kind_of(double p) {
    if (p == 1) return POWER_ONE;
    if (p == 3) return POWER_CUBE;
    if (p == 0.5) return POWER_ROOT;
    if (p == -1) return POWER_INVERSE;
    if (p == -0.5) return POWER_INVERSE_ROOT;
    if (p == -2) return POWER_INVERSE_SQUARE;
    return POWER_ANY;
}

// What an exponent says of zeros, infinities and negative numbers.
typedef struct {
    double p;
    bool is_integer, is_odd;
    float at_zero, at_infinity;
} exponent;

static exponent exponent_of(double p) {
    return (exponent){p, p == trunc(p), p == trunc(p) && fmod(p, 2) != 0, p > 0 ? 0 : INFINITY, p > 0 ? INFINITY : 0};
}

V_INLINE wide wide_power(power_kind kind, wide x, double p) {
    if (kind == POWER_CUBE) return x * x * x;
    const wide bound = (wide){0} + 300;  // beyond float32 on either side
    return w_exp2(__builtin_elementwise_max(-bound, __builtin_elementwise_min(bound, w_log2(x) * p)));
}

V_INLINE v_f32 power_by_float64(power_kind kind, v_f32 x, double p) {
    narrow part[v_lanes / wide_lanes];
    memcpy(part, &x, sizeof x);
    for (size_t i = 0; i < v_lanes / wide_lanes; i++)
        part[i] = __builtin_convertvector(wide_power(kind, __builtin_convertvector(part[i], wide), p), narrow);
    memcpy(&x, part, sizeof x);
    return x;
}

// 1 / sqrt(x): the quotient mended by its residual and the root's. Small arguments are scaled, or the residuals were subnormal.
V_INLINE v_f32 inverse_root(v_f32 x) {
    const v_mask small = v_less(x, v_set(0x1p-64f));
    const v_f32 scaled = v_select(small, v_mul(x, v_set(0x1p60f)), x);
    const v_f32 root = v_sqrt(scaled), inverse = v_div(v_set(1), root);
    const v_f32 root_low = v_mul(v_mul(v_fnma(root, root, scaled), inverse), v_set(0.5f));
    const v_f32 residual = v_fnma(root_low, inverse, v_fnma(root, inverse, v_set(1)));
    v_f32 y = v_fma(inverse, residual, inverse);
    y = v_select(small, v_mul(y, v_set(0x1p30f)), y);
    y = v_select(v_equal(x, v_set(0)), v_set(INFINITY), y);
    return v_select(v_equal(v_abs(x), v_set(INFINITY)), v_set(0), y);
}

V_INLINE v_f32 any_power(v_f32 x, exponent e) {
    const v_f32 magnitude = v_abs(x), sign = v_and(x, v_set(-0.0f));
    const v_mask infinite = v_equal(magnitude, v_set(INFINITY));
    v_f32 y = power_by_float64(POWER_ANY, magnitude, e.p);
    if (!e.is_integer) y = v_select(v_less(x, v_set(0)), v_set(NAN), y);
    y = v_select(infinite, v_set(e.at_infinity), y);
    y = v_select(v_equal(x, v_set(0)), v_set(e.at_zero), y);
    if (e.is_odd) y = v_or(y, sign);
    return v_select(v_nan(x), v_add(x, x), y);
}

// 1 / x^2: the reciprocal and its rounding error, squared. Where a part of that would be subnormal, the long way.
V_INLINE v_f32 inverse_square(v_f32 x, exponent e) {
    const v_f32 magnitude = v_abs(x), inverse = v_div(v_set(1), x), low = v_mul(v_fnma(inverse, x, v_set(1)), inverse);
    const v_f32 square = v_mul(inverse, inverse), square_low = v_fms(inverse, inverse, square);
    const v_f32 y = v_add(square, v_fma(v_add(inverse, inverse), low, square_low));
    const v_mask extreme = v_either(v_nan(x), v_either(v_less(magnitude, v_set(0x1p-40f)), v_less(v_set(0x1p40f), magnitude)));
    return v_lanes_of_mask(extreme) == 0 ? y : v_select(extreme, any_power(x, e), y);
}

V_INLINE v_f32 apply_power(power_kind kind, v_f32 x, exponent e) {
    switch (kind) {
    case POWER_ONE:
        return v_add(x, v_set(-0.0f));  // NaN becomes quiet
    case POWER_ROOT:
        return v_select(v_equal(x, v_set(-INFINITY)), v_set(INFINITY), v_sqrt(v_add(x, v_set(0))));
    case POWER_INVERSE:
        return v_div(v_set(1), x);
    case POWER_INVERSE_ROOT:
        return inverse_root(x);
    case POWER_INVERSE_SQUARE:
        return inverse_square(x, e);
    case POWER_CUBE:
        return power_by_float64(POWER_CUBE, x, e.p);
    case POWER_ANY:
        return any_power(x, e);
    }
    return x;
}

V_INLINE void power_loop(power_kind kind, csimd_type type, size_t count, const void *x, exponent e, void *y) {
    for (size_t i = 0; i < count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, count - i);
        store_lanes(type, y, i, lanes, apply_power(kind, load_lanes(type, x, i, lanes), e));
    }
}

V_INLINE void power_of(power_kind kind, csimd_type type, size_t count, const void *x, exponent e, void *y) {
    if (type == CSIMD_F32)
        power_loop(kind, CSIMD_F32, count, x, e, y);
    else if (type == CSIMD_F16)
        power_loop(kind, CSIMD_F16, count, x, e, y);
    else
        power_loop(kind, CSIMD_BF16, count, x, e, y);
}

// Of a finite exponent that is not 0.
static void power(csimd_type type, size_t count, const void *x, double p, void *y) {
    const exponent e = exponent_of(p);
    switch (power_kind_of(p)) {
    case POWER_ONE:
        power_of(POWER_ONE, type, count, x, e, y);
        return;
    case POWER_CUBE:
        power_of(POWER_CUBE, type, count, x, e, y);
        return;
    case POWER_ROOT:
        power_of(POWER_ROOT, type, count, x, e, y);
        return;
    case POWER_INVERSE:
        power_of(POWER_INVERSE, type, count, x, e, y);
        return;
    case POWER_INVERSE_ROOT:
        power_of(POWER_INVERSE_ROOT, type, count, x, e, y);
        return;
    case POWER_INVERSE_SQUARE:
        power_of(POWER_INVERSE_SQUARE, type, count, x, e, y);
        return;
    case POWER_ANY:
        power_of(POWER_ANY, type, count, x, e, y);
        return;
    }
}
