// Layer and RMS normalisation over the vocabulary of vector_avx2.h or vector_avx512.h. A row comes from memory once; the passes
// over it find it in L1: a first mean about the row's first element, then the sums of d and d^2, d the distance from it, which
// correct it and give the variance; then the result. Sums are float32 in four partial sums of vectors, added up in float64: of
// n columns at most n / (4 lanes) + 5 roundings on top of the terms' own. A row that float32 has no room for (its squares
// overflow, or are lost) goes to the reference row.

#define EACH_OF_FOUR _Pragma("clang loop unroll(full)") for (size_t k = 0; k < 4; k++)

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t lanes) {
    return lanes == v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, lanes);
}

V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (lanes == v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, lanes, value);
}

// `value` in the first lanes, 0 in the others.
V_INLINE v_f32 first_of(size_t lanes, v_f32 value) {
    if (lanes == v_lanes) return value;
    return v_select(v_less(v_to_f32(v_lane_numbers()), v_set((float)lanes)), value, v_set(0));
}

V_INLINE double sum_of(const v_f32 part[4]) {
    return v_f64_sum(v_f64_widen(v_add(v_add(part[0], part[1]), v_add(part[2], part[3]))));
}

// Columns of the longest row of 16 bits that is widened once and kept in L1 for its later passes.
enum { held_columns = 2048 };

// The sum of x - origin; x in float32 to `held` unless that is NULL. The product with 1 adds in the unit of fused
// multiply-adds, beside the subtraction.
V_INLINE double row_sum(csimd_type type, const void *x, size_t start, size_t columns, float origin, float *held) {
    const v_f32 o = v_set(origin), one = v_set(1);
    v_f32 part[4];
    EACH_OF_FOUR part[k] = v_set(0);
    size_t j = 0;
    for (; j + 4 * v_lanes <= columns; j += 4 * v_lanes) EACH_OF_FOUR {
            const v_f32 value = v_load(type, x, start + j + k * v_lanes);
            if (held != NULL) v_store(CSIMD_F32, held, j + k * v_lanes, value);
            part[k] = v_fma(v_sub(value, o), one, part[k]);
        }
    for (; j < columns; j += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, columns - j);
        const v_f32 value = load_lanes(type, x, start + j, lanes);
        if (held != NULL) store_lanes(CSIMD_F32, held, j, lanes, value);
        part[0] = v_add(part[0], first_of(lanes, v_sub(value, o)));
    }
    return sum_of(part);
}

// The sum of (x - center)^2.
V_INLINE double row_squares(csimd_type type, const void *x, size_t start, size_t columns, float center) {
    const v_f32 c = v_set(center);
    v_f32 part[4];
    EACH_OF_FOUR part[k] = v_set(0);
    size_t j = 0;
    for (; j + 4 * v_lanes <= columns; j += 4 * v_lanes) EACH_OF_FOUR {
            const v_f32 distance = v_sub(v_load(type, x, start + j + k * v_lanes), c);
            part[k] = v_fma(distance, distance, part[k]);
        }
    for (; j < columns; j += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, columns - j);
        const v_f32 distance = first_of(lanes, v_sub(load_lanes(type, x, start + j, lanes), c));
        part[0] = v_fma(distance, distance, part[0]);
    }
    return sum_of(part);
}

// The element that the mean is measured from: the middle one of three, so that an outlier is not taken.
V_INLINE float row_origin(csimd_type type, const void *x, size_t start, size_t columns) {
    const float a = csimd_load_f32(type, x, start), b = csimd_load_f32(type, x, start + columns / 2);
    const float c = csimd_load_f32(type, x, start + columns - 1);
    const float low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

// Completes the statistics of a row whose center and correction are known. False where float32 has no room for the row: a sum
// of squares that is not finite, or that may have lost more than 2^-40 of its mean beside epsilon.
V_INLINE bool add_deviation(const csimd_row_norm_args *g, double squares, csimd_row_statistics *s) {
    const double variance = squares / (double)g->columns - s->correction * s->correction;
    const double square = (variance > 0 ? variance : 0) + g->epsilon;
    s->inverse = 1 / sqrt(square);
    return squares <= (double)FLT_MAX && square >= 0x1p-100;
}

// How a row is normalised: n = (x - center) inverse + offset, the offset from the mean's correction.
typedef struct {
    v_f32 center, inverse, offset;
} row_scale;

V_INLINE row_scale scale_of(const csimd_row_statistics *s) {
    return (row_scale){v_set((float)s->center), v_set((float)s->inverse), v_set((float)-(s->correction * s->inverse))};
}

V_INLINE v_f32 normalized(v_f32 x, row_scale s) { return v_fma(v_sub(x, s.center), s.inverse, s.offset); }

V_INLINE void write_result(csimd_type type, csimd_type x_type, const csimd_row_norm_args *g, size_t j, size_t lanes,
                           const void *x, size_t start, row_scale scale, void *y, size_t row) {
    v_f32 value = normalized(load_lanes(x_type, x, start + j, lanes), scale);
    const v_f32 bias = g->bias == NULL ? v_set(0) : load_lanes(type, g->bias, j, lanes);
    if (g->weight != NULL)
        value = v_fma(value, load_lanes(type, g->weight, j, lanes), bias);
    else if (g->bias != NULL)
        value = v_add(value, bias);
    store_lanes(type, y, row * g->columns + j, lanes, value);
}

// Row i from x of x_type, which begins at element `start`; its center and correction are known. False, and nothing written,
// where float32 has no room for it.
V_INLINE bool forward_in_f32(csimd_type type, csimd_type x_type, const csimd_row_norm_args *g, size_t i, const void *x,
                             size_t start, void *y, csimd_row_statistics *s) {
    if (!add_deviation(g, row_squares(x_type, x, start, g->columns, (float)s->center), s)) return false;
    const row_scale scale = scale_of(s);
    size_t j = 0;
    for (; j + v_lanes <= g->columns; j += v_lanes) write_result(type, x_type, g, j, v_lanes, x, start, scale, y, i);
    if (j < g->columns) write_result(type, x_type, g, j, g->columns - j, x, start, scale, y, i);
    return true;
}

V_INLINE void forward_rows(csimd_type type, const csimd_row_norm_args *g, void *y, csimd_row_statistics *statistics) {
    const size_t columns = g->columns;
    const bool holds = type != CSIMD_F32 && columns <= held_columns && g->kind == CSIMD_LAYER_NORM;
    const double share = 1 / (double)columns;
    float held[held_columns];
    for (size_t i = 0; i < g->rows; i++) {
        const size_t start = i * columns;
        csimd_row_statistics *s = statistics + i;
        *s = (csimd_row_statistics){.unit = 1};
        if (g->kind == CSIMD_LAYER_NORM) {
            const float origin = row_origin(type, g->x, start, columns);
            const double distance = row_sum(type, g->x, start, columns, origin, holds ? held : NULL) * share;
            s->center = (double)(float)((double)origin + distance);
            s->correction = (double)origin - s->center + distance;
        }
        if (!(holds ? forward_in_f32(type, CSIMD_F32, g, i, held, 0, y, s)
                    : forward_in_f32(type, type, g, i, g->x, start, y, s)))
            csimd_norm_forward_row(g, i, y, statistics);
    }
}

// sums[j] += value, in lanes.
V_INLINE void add_lanes(float *sums, size_t j, size_t lanes, v_f32 value) {
    store_lanes(CSIMD_F32, sums, j, lanes, v_add(load_lanes(CSIMD_F32, sums, j, lanes), value));
}

// Partial sums of a row's slopes g = dy weight, of g n and of g^2: where the last is finite, nothing else overflows either.
typedef struct {
    v_f32 slope, product, square;
} slope_sums;

typedef struct {
    csimd_type type;
    const csimd_row_norm_args *g;
    row_scale scale;
    size_t start;  // of the row
    const void *dy;
    float *weight_sums, *bias_sums;
    float *normals, *slopes;  // kept from the first pass for the second where that is the faster way; else NULL
} backward_row;

V_INLINE v_f32 slope_of(const backward_row *r, size_t j, size_t lanes, v_f32 d) {
    return r->g->weight == NULL ? d : v_mul(d, load_lanes(r->type, r->g->weight, j, lanes));
}

// Adds the lanes at column j. dy is zero in lanes beyond the row: so are all products.
V_INLINE slope_sums add_slopes(const backward_row *r, size_t j, size_t lanes, slope_sums sum) {
    const v_f32 normal = first_of(lanes, normalized(load_lanes(r->type, r->g->x, r->start + j, lanes), r->scale));
    const v_f32 d = load_lanes(r->type, r->dy, r->start + j, lanes), slope = slope_of(r, j, lanes, d);
    if (r->normals != NULL) {
        store_lanes(CSIMD_F32, r->normals, j, lanes, normal);
        store_lanes(CSIMD_F32, r->slopes, j, lanes, slope);
    }
    if (r->weight_sums != NULL) add_lanes(r->weight_sums, j, lanes, v_mul(d, normal));
    if (r->bias_sums != NULL) add_lanes(r->bias_sums, j, lanes, d);
    return (slope_sums){v_add(sum.slope, slope), v_fma(slope, normal, sum.product), v_fma(slope, slope, sum.square)};
}

V_INLINE void write_gradient(const backward_row *r, size_t j, size_t lanes, v_f32 slope_mean, v_f32 product_mean, void *dx) {
    const v_f32 normal = r->normals != NULL ? load_lanes(CSIMD_F32, r->normals, j, lanes)
                                            : normalized(load_lanes(r->type, r->g->x, r->start + j, lanes), r->scale);
    const v_f32 slope = r->normals != NULL ? load_lanes(CSIMD_F32, r->slopes, j, lanes)
                                           : slope_of(r, j, lanes, load_lanes(r->type, r->dy, r->start + j, lanes));
    const v_f32 rest = v_fnma(normal, product_mean, v_sub(slope, slope_mean));
    store_lanes(r->type, dx, r->start + j, lanes, v_mul(r->scale.inverse, rest));
}

// False, and dx not written, where float32 has no room for the slopes.
V_INLINE bool backward_in_f32(const backward_row *r, void *dx) {
    const size_t columns = r->g->columns;
    const double share = 1 / (double)columns;
    slope_sums even = {v_set(0), v_set(0), v_set(0)}, odd = even;
    size_t j = 0;
    for (; j + 2 * v_lanes <= columns; j += 2 * v_lanes) {
        even = add_slopes(r, j, v_lanes, even);
        odd = add_slopes(r, j + v_lanes, v_lanes, odd);
    }
    for (; j < columns; j += v_lanes) even = add_slopes(r, j, csimd_minimum(v_lanes, columns - j), even);
    if (dx == NULL) return true;
    if (!(v_f64_sum(v_f64_widen(v_add(even.square, odd.square))) <= (double)FLT_MAX)) return false;
    const double slopes = v_f64_sum(v_f64_widen(v_add(even.slope, odd.slope)));
    const double products = v_f64_sum(v_f64_widen(v_add(even.product, odd.product)));
    const v_f32 slope_mean = v_set(r->g->kind == CSIMD_LAYER_NORM ? (float)(slopes * share) : 0);
    const v_f32 product_mean = v_set((float)(products * share));
    for (j = 0; j + v_lanes <= columns; j += v_lanes) write_gradient(r, j, v_lanes, slope_mean, product_mean, dx);
    if (j < columns) write_gradient(r, j, columns - j, slope_mean, product_mean, dx);
    return true;
}

V_INLINE void backward_rows(csimd_type type, const csimd_row_norm_args *g, const csimd_row_statistics *statistics,
                            const void *dy, void *dx, float *weight_sums, float *bias_sums) {
    const bool holds = type != CSIMD_F32 && g->columns <= held_columns;
    float held[2][held_columns];
    for (size_t i = 0; i < g->rows; i++) {
        if (!(statistics[i].inverse >= 0x1p-65 && statistics[i].inverse <= 0x1p51)) {
            csimd_norm_backward_row(g, i, statistics, dy, dx, weight_sums, bias_sums);
            continue;
        }
        backward_row row = {type, g, scale_of(statistics + i), i * g->columns, dy, weight_sums, bias_sums, held[0], held[1]};
        if (!holds) row.normals = row.slopes = NULL;
        if (!(holds ? backward_in_f32(&row, dx) : backward_in_f32(&row, dx)))
            csimd_norm_backward_row(g, i, statistics, dy, dx, NULL, NULL);
    }
}

// Float64 is served by the reference row; each other type is a specialisation of the bodies above.
static void forward(const csimd_row_norm_args *g, void *y, csimd_row_statistics *statistics) {
    switch (g->type) {
    case CSIMD_F32:
        forward_rows(CSIMD_F32, g, y, statistics);
        return;
    case CSIMD_F16:
        forward_rows(CSIMD_F16, g, y, statistics);
        return;
    case CSIMD_BF16:
        forward_rows(CSIMD_BF16, g, y, statistics);
        return;
    case CSIMD_F64:
        csimd_norm_kernels_ref.forward(g, y, statistics);
        return;
    }
}

static void backward(const csimd_row_norm_args *g, const csimd_row_statistics *statistics, const void *dy, void *dx,
                     void *weight_sums, void *bias_sums) {
    switch (g->type) {
    case CSIMD_F32:
        backward_rows(CSIMD_F32, g, statistics, dy, dx, weight_sums, bias_sums);
        return;
    case CSIMD_F16:
        backward_rows(CSIMD_F16, g, statistics, dy, dx, weight_sums, bias_sums);
        return;
    case CSIMD_BF16:
        backward_rows(CSIMD_BF16, g, statistics, dy, dx, weight_sums, bias_sums);
        return;
    case CSIMD_F64:
        csimd_norm_kernels_ref.backward(g, statistics, dy, dx, weight_sums, bias_sums);
        return;
    }
}
