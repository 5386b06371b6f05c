// log2, exp2 and sin of 8 float64 lanes in the compiler's vectors, which each instruction set splits as it must: for functions
// of float32 that need more than float32 inside, and for random numbers. A file that includes it includes it inside its
// target's attribute. Arguments are ordinary numbers in the ranges given; special values are the caller's.

// Vectors wider than a register have no agreed way into a function; every function that takes one is inlined.
#pragma clang diagnostic ignored "-Wpsabi"

typedef double wide __attribute__((vector_size(64)));
typedef int64_t wide_bits __attribute__((vector_size(64)));

enum { wide_lanes = 8 };

#define WIDE_INLINE static inline __attribute__((always_inline))

// Of positive normal x, within 2^-49 of the result. With m in [sqrt(1/2), sqrt(2)) and s = (m - 1) / (m + 1), |s| < 0.1716:
// log2 m = 2 / ln 2 (s + s^3 / 3 + ...), whose terms from s^19 on are below 2^-50 of the first.
WIDE_INLINE wide w_log2(wide x) {
#pragma clang fp contract(fast)
    const int64_t root_half = 0x3FE6A09E667F3BCD;
    const wide_bits above = (wide_bits)x - root_half;
    const wide exponent = (wide)((above >> 52) + 0x4338000000000000) - 0x1.8p52;
    const wide m = (wide)((above & 0xFFFFFFFFFFFFF) + root_half);
    const wide s = (m - 1) / (m + 1), z = s * s;
    wide q = 2.8853900817779268 / 15 + z * (2.8853900817779268 / 17);
    q = 2.8853900817779268 / 13 + z * q;
    q = 2.8853900817779268 / 11 + z * q;
    q = 2.8853900817779268 / 9 + z * q;
    q = 2.8853900817779268 / 7 + z * q;
    q = 2.8853900817779268 / 5 + z * q;
    q = 2.8853900817779268 / 3 + z * q;
    q = 2.8853900817779268 + z * q;
    return exponent + s * q;
}

// Of |x| < 1000, within 2^-37 of the result: the Taylor polynomial of degree 9 at most 1/2 from an integer.
WIDE_INLINE wide w_exp2(wide x) {
#pragma clang fp contract(fast)
    const wide shifted = x + 0x1.8p52;  // the nearest integer in its low bits
    const wide r = x - (shifted - 0x1.8p52);
    wide q = 1.3215486790144307e-6 + r * 1.0178086009239699e-7;
    q = 1.5252733804059841e-5 + r * q;
    q = 1.5403530393381608e-4 + r * q;
    q = 1.3333558146428443e-3 + r * q;
    q = 9.6181291076284772e-3 + r * q;
    q = 5.5504108664821580e-2 + r * q;
    q = 2.4022650695910072e-1 + r * q;
    q = 6.9314718055994531e-1 + r * q;
    const wide power = (wide)(((wide_bits)shifted - 0x4338000000000000 + 1023) << 52);
    return (1 + r * q) * power;
}

// sin(2 pi x) of |x| <= 1/4, within 2^-49: its Taylor polynomial of degree 19, whose next term is below 2^-51.
WIDE_INLINE wide w_sine_of_turns(wide x) {
#pragma clang fp contract(fast)
    const wide y = x * 6.283185307179586, z = y * y;
    wide q = 2.8114572543455206e-15 + z * -8.2206352466243295e-18;
    q = -7.6471637318198164e-13 + z * q;
    q = 1.6059043836821613e-10 + z * q;
    q = -2.5052108385441720e-8 + z * q;
    q = 2.7557319223985893e-6 + z * q;
    q = -1.9841269841269841e-4 + z * q;
    q = 8.3333333333333332e-3 + z * q;
    q = -1.6666666666666666e-1 + z * q;
    return y + y * z * q;
}
