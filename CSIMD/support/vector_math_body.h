// exp, log, tanh, sigmoid, gelu and its tanh form, silu and the gradients, in float32, over the vocabulary of vector_avx2.h or
// vector_avx512.h. Included by vector_math_avx2.h and vector_math_avx512.h only; include one of those. Every result is formed
// from factors near 1 and scaled by a power of two last, so that a subnormal result is rounded once. Bounds, in float32 ulps of
// the exact result over all of float32: exp 1.1, log 1, tanh 1.5, sigmoid 1.1, silu 1.1, gelu 3.5, its tanh form 1.6; the
// gradients, which cross zero, 5 ulps of the sum of their two terms' magnitudes. ElementwiseTests sweeps them. NaN gives NaN;
// exp, log, sigmoid and tanh take infinities as their limits, and so do silu and both forms of gelu: -0 at -infinity.
// Polynomials are weighted minimax fits (Lawson) with float32 coefficients; each one's fitting error stands beside it.

enum { v_exp_floor = -120 };  // below it x e^x is below half the least subnormal, and the scaling exponent stays in range

// e^x = (p + low) 2^n; p in [0.70, 1.42] and low what its last rounding lost.
typedef struct {
    v_f32 p, low, n;
} v_exp_parts;

// Of x + x_low: x from v_exp_floor to about 89, x_low tiny.

V_INLINE v_exp_parts v_exp_split(v_f32 x, v_f32 x_low) {
    v_f32 n = v_nearest(v_mul(x, v_set(1.44269504f)));
    v_f32 r = v_fnma(n, v_set(0x1.62e4p-1f), x);  // exact: ln 2's upper part has 15 bits
    r = v_fnma(n, v_set(0x1.7f7d1cp-20f), r);
    r = v_add(r, x_low);
    // (e^r - 1 - r) / r^2; 3e-9 of e^r.
    v_f32 q = v_fma(v_set(1.395080937e-03f), r, v_set(8.369073272e-03f));
    q = v_fma(q, r, v_set(4.166620225e-02f));
    q = v_fma(q, r, v_set(1.666651666e-01f));
    q = v_fma(q, r, v_set(0.5f));
    v_f32 rest = v_fma(v_mul(r, r), q, r), p = v_add(v_set(1), rest);
    return (v_exp_parts){p, v_sub(rest, v_sub(p, v_set(1))), n};
}

V_INLINE v_f32 v_exp(v_f32 x) {
    x = v_min(v_set(89), v_max(v_set(v_exp_floor), x));
    v_exp_parts e = v_exp_split(x, v_set(0));
    return v_scale(e.p, e.n);
}

// log x = log m + e log 2, m in [sqrt(1/2), sqrt(2)).
V_INLINE v_f32 v_log(v_f32 x) {
    v_mask subnormal = v_less(x, v_set(0x1p-126f));
    v_f32 scaled = v_select(subnormal, v_mul(x, v_set(0x1p25f)), x);
    v_i32 above_root = v_sub_i32(v_bits(scaled), v_set_i32(0x3F3504F3));  // bits of sqrt(1/2)
    v_f32 e = v_sub(v_to_f32(v_shift_right_i32(above_root, 23)), v_select(subnormal, v_set(25), v_set(0)));
    v_i32 fraction = v_and_i32(above_root, v_set_i32(0x007FFFFF));
    v_f32 f = v_sub(v_of_bits(v_add_i32(fraction, v_set_i32(0x3F3504F3))), v_set(1));
    // (log(1 + f) - f + f^2 / 2) / f^3; 7e-10 of log(1 + f).
    v_f32 q = v_fma(v_set(6.915424764e-02f), f, v_set(-1.178983524e-01f));
    q = v_fma(q, f, v_set(1.187296584e-01f));
    q = v_fma(q, f, v_set(-1.238434315e-01f));
    q = v_fma(q, f, v_set(1.421865821e-01f));
    q = v_fma(q, f, v_set(-1.666925102e-01f));
    q = v_fma(q, f, v_set(2.000222653e-01f));
    q = v_fma(q, f, v_set(-2.499998659e-01f));
    q = v_fma(q, f, v_set(3.333331048e-01f));
    v_f32 square = v_mul(f, f);
    v_f32 rest = v_fma(v_mul(square, f), q, v_mul(e, v_set(0x1.7f7d1cp-20f)));
    rest = v_fnma(v_set(0.5f), square, rest);
    v_f32 y = v_fma(e, v_set(0x1.62e4p-1f), v_add(f, rest));
    y = v_select(v_equal(x, v_set(INFINITY)), x, y);
    y = v_select(v_equal(x, v_set(0)), v_set(-INFINITY), y);
    return v_select(v_either(v_less(x, v_set(0)), v_nan(x)), v_set(NAN), y);
}

// |x| < 0.625: x + x^3 q(x^2), the fit within 2e-10; beyond: 1 - 2 / (e^(2|x|) + 1), with the sign of x.
V_INLINE v_f32 v_tanh(v_f32 x) {
    v_f32 magnitude = v_abs(x), square = v_mul(x, x);
    v_f32 q = v_fma(v_set(2.147540450e-03f), square, v_set(-8.182678372e-03f));
    q = v_fma(q, square, v_set(2.170296945e-02f));
    q = v_fma(q, square, v_set(-5.394720286e-02f));
    q = v_fma(q, square, v_set(1.333321035e-01f));
    q = v_fma(q, square, v_set(-3.333333135e-01f));
    v_f32 near = v_fma(v_mul(square, x), q, x);
    v_exp_parts e = v_exp_split(v_min(v_set(20), v_add(magnitude, magnitude)), v_set(0));
    v_f32 far = v_sub(v_set(1), v_div(v_set(2), v_add(v_scale(e.p, e.n), v_set(1))));
    far = v_or(far, v_and(x, v_set(-0.0f)));
    return v_select(v_less(magnitude, v_set(0.625f)), near, far);
}

// (a + a_low) / (b + b_low): the rounded quotient, mended by its residual.
V_INLINE v_f32 v_quotient(v_f32 a, v_f32 a_low, v_f32 b, v_f32 b_low) {
    v_f32 reciprocal = v_div(v_set(1), b);
    v_f32 quotient = v_mul(a, reciprocal);
    v_f32 residual = v_add(v_fnma(quotient, b, a), v_fnma(quotient, b_low, a_low));
    return v_fma(residual, reciprocal, quotient);
}

// What the logistic functions share: magnitude = |x| capped at -v_exp_floor, e = e^-magnitude in parts and z = its value,
// denominator + denominator_low = 1 + z.
typedef struct {
    v_exp_parts e;
    v_f32 magnitude, z, denominator, denominator_low;
} v_logistic;

V_INLINE v_logistic v_logistic_of(v_f32 x) {
    v_logistic l;
    l.magnitude = v_min(v_set(-v_exp_floor), v_abs(x));
    l.e = v_exp_split(v_negate(l.magnitude), v_set(0));
    l.z = v_scale(l.e.p, l.e.n);
    l.denominator = v_add(v_set(1), l.z);
    l.denominator_low = v_sub(l.z, v_sub(l.denominator, v_set(1)));
    return l;
}

// 1 / (1 + e^-x); for x < 0 as e^x / (1 + e^x).
V_INLINE v_f32 v_sigmoid(v_f32 x) {
    v_logistic l = v_logistic_of(x);
    v_mask negative = v_less(x, v_set(0));
    v_f32 numerator = v_select(negative, l.e.p, v_set(1)), low = v_select(negative, l.e.low, v_set(0));
    v_f32 quotient = v_quotient(numerator, low, l.denominator, l.denominator_low);
    return v_select(negative, v_scale(quotient, l.e.n), quotient);
}

// x times the logistic function whose parts are `l`, a being |x|, capped.
V_INLINE v_f32 v_times_logistic(v_f32 x, v_f32 a, v_logistic l) {
    v_mask negative = v_less(x, v_set(0));
    v_f32 product = v_mul(a, l.e.p), low = v_fma(a, l.e.low, v_fms(a, l.e.p, product));
    v_f32 numerator = v_select(negative, v_negate(product), x);
    low = v_select(negative, v_negate(low), v_set(0));
    v_f32 quotient = v_quotient(numerator, low, l.denominator, l.denominator_low);
    return v_select(negative, v_scale(quotient, l.e.n), quotient);
}

// x sigmoid(x); -0 at -infinity. From 120 on sigmoid(x) rounds to 1.
V_INLINE v_f32 v_silu(v_f32 x) {
    v_logistic l = v_logistic_of(x);
    return v_select(v_less(v_set(-v_exp_floor), x), x, v_times_logistic(x, l.magnitude, l));
}

// s (1 + x w' (1 - s)) with s = sigmoid(w). With z = e^-|w| and m = |x w'|, l.magnitude: x < 0: z (1 + z - m) / (1 + z)^2; else
// (1 + z + m z) / (1 + z)^2.
V_INLINE v_f32 v_logistic_slope(v_f32 x, v_logistic l) {
    v_mask negative = v_less(x, v_set(0));
    v_f32 below = v_mul(l.e.p, v_sub(l.denominator, l.magnitude)), above = v_fma(l.magnitude, l.z, l.denominator);
    v_f32 quotient = v_div(v_select(negative, below, above), v_mul(l.denominator, l.denominator));
    return v_select(negative, v_scale(quotient, l.e.n), quotient);
}

V_INLINE v_f32 v_silu_gradient(v_f32 x) { return v_logistic_slope(x, v_logistic_of(x)); }

// x s(w) with w = x (k + c x^2), k = 2 sqrt(2 / pi) and c = 0.044715 k: what its value and derivative share. a = min(|x|, 11),
// beyond which s(-|w|) x and all of its terms are below half the least subnormal; logistic.magnitude is a times dw/dx. The
// rounding errors of |w|, up to 112, would cost as many roundings of the result: it is kept in two parts.
typedef struct {
    v_logistic logistic;
    v_f32 a;
} v_gelu_tanh_parts;

enum { v_gelu_tanh_end = 11 };

V_INLINE v_gelu_tanh_parts v_gelu_tanh_of(v_f32 x) {
    const v_f32 k = v_set(0x1.988454p+0f), k_low = v_set(-0x1.857936p-25f), c = v_set(0x1.2444f2p-4f),
                c_low = v_set(0x1.49b16ap-29f);
    const v_f32 a = v_min(v_set(v_gelu_tanh_end), v_abs(x)), square = v_mul(a, a), square_low = v_fms(a, a, square);
    const v_f32 cubic = v_mul(c, square);
    const v_f32 cubic_low = v_fma(c, square_low, v_fma(c_low, square, v_fms(c, square, cubic)));
    const v_f32 sum = v_add(k, cubic), part = v_sub(sum, k);
    const v_f32 sum_low = v_add(v_sub(k, v_sub(sum, part)), v_add(v_sub(cubic, part), v_add(cubic_low, k_low)));
    const v_f32 w = v_mul(a, sum), w_low = v_fma(a, sum_low, v_fms(a, sum, w));
    v_logistic l;
    l.magnitude = v_mul(a, v_fma(v_set(3), cubic, k));
    l.e = v_exp_split(v_negate(w), v_negate(w_low));
    l.z = v_scale(l.e.p, l.e.n);
    l.denominator = v_add(v_set(1), l.z);
    l.denominator_low = v_sub(l.z, v_sub(l.denominator, v_set(1)));
    return (v_gelu_tanh_parts){l, a};
}

V_INLINE v_f32 v_gelu_tanh(v_f32 x) {
    const v_gelu_tanh_parts g = v_gelu_tanh_of(x);
    return v_select(v_less(v_set(v_gelu_tanh_end), x), x, v_times_logistic(x, g.a, g.logistic));
}

V_INLINE v_f32 v_gelu_tanh_gradient(v_f32 x) { return v_logistic_slope(x, v_gelu_tanh_of(x).logistic); }

// With a = min(|x|, 15): Phi(-a) = (g + g_low) e^(-a^2 / 2), and e^(-a^2 / 2) in parts. g(a) = h(t) / (a + 3) with
// t = (a - 3) / (a + 3); h is a polynomial, its fit within 1e-9. a^2 / 2 is kept in two parts: its rounding alone would cost
// 2^-24 a^2 / 2 of the result.
typedef struct {
    v_exp_parts e;
    v_f32 a, g, g_low;
} v_normal_tail;

V_INLINE v_normal_tail v_normal_tail_of(v_f32 x) {
    v_f32 a = v_min(v_set(15), v_abs(x));
    v_f32 square = v_mul(a, a), half = v_set(-0.5f);
    v_f32 square_low = v_fms(a, a, square);
    v_f32 sum = v_add(a, v_set(3)), sum_low = v_sub(v_set(3), v_sub(sum, a));
    sum_low = v_add(sum_low, v_sub(a, v_sub(sum, v_sub(sum, a))));
    v_f32 reciprocal = v_div(v_set(1), sum);
    v_f32 t = v_mul(v_sub(a, v_set(3)), reciprocal);
    v_f32 h = v_fma(v_set(5.448923912e-05f), t, v_set(1.313304674e-04f));
    h = v_fma(h, t, v_set(-2.447301522e-04f));
    h = v_fma(h, t, v_set(-1.032573869e-03f));
    h = v_fma(h, t, v_set(1.024754019e-03f));
    h = v_fma(h, t, v_set(6.969311275e-03f));
    h = v_fma(h, t, v_set(-1.046251319e-02f));
    h = v_fma(h, t, v_set(-4.726268724e-02f));
    h = v_fma(h, t, v_set(2.300177068e-01f));
    h = v_fma(h, t, v_set(-5.093320012e-01f));
    h = v_fma(h, t, v_set(7.290837169e-01f));
    v_f32 g = v_mul(h, reciprocal);
    v_f32 g_low = v_mul(v_fnma(g, sum_low, v_fnma(g, sum, h)), reciprocal);
    return (v_normal_tail){v_exp_split(v_mul(square, half), v_mul(square_low, half)), a, g, g_low};
}

// x Phi(x): x < 0: -a Phi(-a); else x - x Phi(-a). -0 at -infinity.
V_INLINE v_f32 v_gelu(v_f32 x) {
    v_normal_tail tail = v_normal_tail_of(x);
    v_f32 product = v_mul(tail.a, tail.g), low = v_fma(tail.a, tail.g_low, v_fms(tail.a, tail.g, product));
    low = v_fma(product, tail.e.low, v_mul(low, tail.e.p));
    v_f32 magnitude = v_scale(v_fma(product, tail.e.p, low), tail.e.n);  // |x| Phi(-|x|)
    return v_select(v_less(x, v_set(0)), v_negate(magnitude), v_sub(x, magnitude));
}

// Phi(x) + x phi(x): with w = e^(-a^2 / 2) (g(a) - a / sqrt(2 pi)): x < 0: w; else 1 - w.
V_INLINE v_f32 v_gelu_gradient(v_f32 x) {
    v_normal_tail tail = v_normal_tail_of(x);
    v_f32 difference = v_add(v_fnma(tail.a, v_set(0.398942280f), tail.g), tail.g_low);
    v_f32 w = v_scale(v_mul(difference, tail.e.p), tail.e.n);
    return v_select(v_less(x, v_set(0)), w, v_sub(v_set(1), w));
}
