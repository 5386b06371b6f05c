// Sums, maxima, search and finite check of chunks of f32, f16 and bf16, over support/vector_<isa>.h.
// Rows: 4 accumulators, the latency of an addition times one load a cycle. Columns: 8 accumulators, one vector of columns
// each, so that a row of the block is 2 to 8 whole cache lines. Both are bound by the loads.

enum { accumulators = 4, column_vectors = 8 };

// The `vectors` vectors that are fetch_ahead bytes after element i: one prefetch a cache line.
enum { fetch_ahead = 4096 };
V_INLINE void fetch(csimd_type type, const void *x, size_t i, size_t vectors) {
    const size_t size = csimd_type_size(type);
    for (size_t byte = 0; byte < vectors * v_lanes * size; byte += CSIMD_ALIGNMENT)
        __builtin_prefetch((const char *)x + i * size + fetch_ahead + byte);
}

V_INLINE double sum_row_of(csimd_type type, size_t count, const void *x) {
    v_f32 sum[accumulators];
    for (int a = 0; a < accumulators; a++) sum[a] = v_set(0);
    size_t i = 0;
    for (; i + accumulators * v_lanes <= count; i += accumulators * v_lanes) {
        fetch(type, x, i, accumulators);
#pragma clang loop unroll(full)
        for (size_t a = 0; a < accumulators; a++) sum[a] = v_add(sum[a], v_load(type, x, i + a * v_lanes));
    }
    for (; i + v_lanes <= count; i += v_lanes) sum[0] = v_add(sum[0], v_load(type, x, i));
    if (i < count) sum[1] = v_add(sum[1], v_load_first(type, x, i, count - i));
    v_f64_pair low = v_f64_add(v_f64_widen(sum[0]), v_f64_widen(sum[1]));
    v_f64_pair high = v_f64_add(v_f64_widen(sum[2]), v_f64_widen(sum[3]));
    return v_f64_sum(v_f64_add(low, high));
}

// NaN stays: a NaN element replaces the maximum, and v_max returns its second operand where that is NaN.
V_INLINE v_f32 nan_maximum(v_f32 x, v_f32 best) { return v_select(v_nan(x), x, v_max(x, best)); }

V_INLINE double max_row_of(csimd_type type, size_t count, const void *x) {
    v_f32 best[accumulators];
    for (int a = 0; a < accumulators; a++) best[a] = v_set(-INFINITY);
    size_t i = 0;
    for (; i + accumulators * v_lanes <= count; i += accumulators * v_lanes) {
        fetch(type, x, i, accumulators);
#pragma clang loop unroll(full)
        for (size_t a = 0; a < accumulators; a++) best[a] = nan_maximum(v_load(type, x, i + a * v_lanes), best[a]);
    }
    for (; i + v_lanes <= count; i += v_lanes) best[0] = nan_maximum(v_load(type, x, i), best[0]);
    best[0] = nan_maximum(nan_maximum(best[0], best[1]), nan_maximum(best[2], best[3]));
    float lane[v_lanes];
    v_store(CSIMD_F32, lane, 0, best[0]);
    double result = -INFINITY;
    for (size_t l = 0; l < v_lanes; l++) result = csimd_nan_maximum(result, (double)lane[l]);
    if (i == count) return result;
    v_store(CSIMD_F32, lane, 0, v_load_first(type, x, i, count - i));
    for (size_t l = 0; l < count - i; l++) result = csimd_nan_maximum(result, (double)lane[l]);
    return result;
}

V_INLINE v_f32 step(csimd_reduce_op op, v_f32 x, v_f32 result) {
    return op == CSIMD_SUM ? v_add(result, x) : nan_maximum(x, result);
}

V_INLINE void write_columns(v_f32 values, size_t columns, double *result) {
    float lane[v_lanes];
    v_store(CSIMD_F32, lane, 0, values);
    for (size_t l = 0; l < columns; l++) result[l] = (double)lane[l];
}

V_INLINE void reduce_columns_of(csimd_reduce_op op, csimd_type type, size_t rows, size_t columns, size_t row_stride,
                                const void *x, double *result) {
    const v_f32 start = v_set(op == CSIMD_SUM ? 0 : -INFINITY);
    size_t k = 0;
    for (; k + column_vectors * v_lanes <= columns; k += column_vectors * v_lanes) {
        v_f32 total[column_vectors];
        for (int v = 0; v < column_vectors; v++) total[v] = start;
        for (size_t j = 0; j < rows; j++)
#pragma clang loop unroll(full)
            for (size_t v = 0; v < column_vectors; v++)
                total[v] = step(op, v_load(type, x, j * row_stride + k + v * v_lanes), total[v]);
#pragma clang loop unroll(full)
        for (size_t v = 0; v < column_vectors; v++) write_columns(total[v], v_lanes, result + k + v * v_lanes);
    }
    for (; k + v_lanes <= columns; k += v_lanes) {
        v_f32 total = start;
        for (size_t j = 0; j < rows; j++) total = step(op, v_load(type, x, j * row_stride + k), total);
        write_columns(total, v_lanes, result + k);
    }
    if (k == columns) return;
    v_f32 total = start;
    for (size_t j = 0; j < rows; j++) total = step(op, v_load_first(type, x, j * row_stride + k, columns - k), total);
    write_columns(total, columns - k, result + k);
}

V_INLINE size_t find_of(csimd_type type, size_t count, const void *x, float value) {
    const v_f32 wanted = v_set(value);
    const bool nan = value != value;
    for (size_t i = 0; i < count; i += v_lanes) {
        const size_t rest = count - i;
        v_f32 elements = rest < v_lanes ? v_load_first(type, x, i, rest) : v_load(type, x, i);
        uint32_t hits = v_lanes_of_mask(nan ? v_nan(elements) : v_equal(elements, wanted));
        if (rest < v_lanes) hits &= (1u << rest) - 1u;
        if (hits != 0) return i + (size_t)__builtin_ctz(hits);
    }
    return count;
}

// A part of a norm: the float64 sum of powers, or the float32 maximum for the infinity norm; `norm` is a constant, so that only
// one of the two is kept.
typedef struct {
    v_f64_pair sum;
    v_f32 largest;
} norm_part;

V_INLINE norm_part add_to_norm(csimd_norm norm, norm_part part, v_f32 x) {
    if (norm == CSIMD_NORM_1) part.sum = v_f64_add(part.sum, v_f64_widen(v_abs(x)));
    if (norm == CSIMD_NORM_2) part.sum = v_f64_add_square(part.sum, x);
    if (norm == CSIMD_NORM_3) part.sum = v_f64_add_cube(part.sum, v_abs(x));
    if (norm == CSIMD_NORM_INFINITY) part.largest = nan_maximum(v_abs(x), part.largest);
    return part;
}

V_INLINE double finish_norm(csimd_norm norm, norm_part even, norm_part odd) {
    if (norm != CSIMD_NORM_INFINITY) return v_f64_sum(v_f64_add(even.sum, odd.sum));
    float lane[v_lanes];
    v_store(CSIMD_F32, lane, 0, nan_maximum(even.largest, odd.largest));
    double result = 0;
    for (size_t l = 0; l < v_lanes; l++) result = csimd_nan_maximum(result, (double)lane[l]);
    return result;
}

// Two vectors a turn. Each is 16 (or 8) elements widened into two float64 accumulators: bound by the loads where the array is
// beyond L2, by the widening before.
V_INLINE size_t finite_check_of(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum) {
    norm_part even = {.sum = v_f64_zero(), .largest = v_set(0)}, odd = even;
    size_t first = count, i = 0;
    for (; i + 2 * v_lanes <= count; i += 2 * v_lanes) {
        fetch(type, x, i, 2);
        v_f32 left = v_load(type, x, i), right = v_load(type, x, i + v_lanes);
        even = add_to_norm(norm, even, left);
        odd = add_to_norm(norm, odd, right);
        v_mask bad_left = v_not_finite(left), bad_right = v_not_finite(right);
        if (v_lanes_of_mask(v_either(bad_left, bad_right)) != 0 && first == count) {
            uint32_t bad = v_lanes_of_mask(bad_left);
            first = bad != 0 ? i + (size_t)__builtin_ctz(bad) : i + v_lanes + (size_t)__builtin_ctz(v_lanes_of_mask(bad_right));
        }
    }
    while (i < count) {
        const size_t length = csimd_minimum(v_lanes, count - i);
        v_f32 rest = length < v_lanes ? v_load_first(type, x, i, length) : v_load(type, x, i);
        even = add_to_norm(norm, even, rest);
        uint32_t bad = v_lanes_of_mask(v_not_finite(rest));
        if (bad != 0 && first == count) first = i + (size_t)__builtin_ctz(bad);
        i += length;
    }
    *power_sum = finish_norm(norm, even, odd);
    return first;
}

V_INLINE size_t finite_check_by(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum) {
    switch (norm) {
    case CSIMD_NORM_1:
        return finite_check_of(type, CSIMD_NORM_1, count, x, power_sum);
    case CSIMD_NORM_3:
        return finite_check_of(type, CSIMD_NORM_3, count, x, power_sum);
    case CSIMD_NORM_INFINITY:
        return finite_check_of(type, CSIMD_NORM_INFINITY, count, x, power_sum);
    default:
        return finite_check_of(type, CSIMD_NORM_2, count, x, power_sum);
    }
}

static double sum_row(csimd_type type, size_t count, const void *x) {
    switch (type) {
    case CSIMD_F32:
        return sum_row_of(CSIMD_F32, count, x);
    case CSIMD_F16:
        return sum_row_of(CSIMD_F16, count, x);
    case CSIMD_BF16:
        return sum_row_of(CSIMD_BF16, count, x);
    default:
        return csimd_reduce_kernels_ref.sum_row(type, count, x);
    }
}

static double max_row(csimd_type type, size_t count, const void *x) {
    switch (type) {
    case CSIMD_F32:
        return max_row_of(CSIMD_F32, count, x);
    case CSIMD_F16:
        return max_row_of(CSIMD_F16, count, x);
    case CSIMD_BF16:
        return max_row_of(CSIMD_BF16, count, x);
    default:
        return csimd_reduce_kernels_ref.max_row(type, count, x);
    }
}

static void sum_columns(csimd_type type, size_t rows, size_t columns, size_t row_stride, const void *x, double *result) {
    if (type == CSIMD_F64)
        csimd_reduce_kernels_ref.sum_columns(type, rows, columns, row_stride, x, result);
    else if (type == CSIMD_F32)
        reduce_columns_of(CSIMD_SUM, CSIMD_F32, rows, columns, row_stride, x, result);
    else if (type == CSIMD_F16)
        reduce_columns_of(CSIMD_SUM, CSIMD_F16, rows, columns, row_stride, x, result);
    else
        reduce_columns_of(CSIMD_SUM, CSIMD_BF16, rows, columns, row_stride, x, result);
}

static void max_columns(csimd_type type, size_t rows, size_t columns, size_t row_stride, const void *x, double *result) {
    if (type == CSIMD_F64)
        csimd_reduce_kernels_ref.max_columns(type, rows, columns, row_stride, x, result);
    else if (type == CSIMD_F32)
        reduce_columns_of(CSIMD_MAX, CSIMD_F32, rows, columns, row_stride, x, result);
    else if (type == CSIMD_F16)
        reduce_columns_of(CSIMD_MAX, CSIMD_F16, rows, columns, row_stride, x, result);
    else
        reduce_columns_of(CSIMD_MAX, CSIMD_BF16, rows, columns, row_stride, x, result);
}

static size_t find(csimd_type type, size_t count, const void *x, double value) {
    switch (type) {
    case CSIMD_F32:
        return find_of(CSIMD_F32, count, x, (float)value);
    case CSIMD_F16:
        return find_of(CSIMD_F16, count, x, (float)value);
    case CSIMD_BF16:
        return find_of(CSIMD_BF16, count, x, (float)value);
    default:
        return csimd_reduce_kernels_ref.find(type, count, x, value);
    }
}

static size_t finite_check(csimd_type type, csimd_norm norm, size_t count, const void *x, double *power_sum) {
    switch (type) {
    case CSIMD_F32:
        return finite_check_by(CSIMD_F32, norm, count, x, power_sum);
    case CSIMD_F16:
        return finite_check_by(CSIMD_F16, norm, count, x, power_sum);
    case CSIMD_BF16:
        return finite_check_by(CSIMD_BF16, norm, count, x, power_sum);
    default:
        return csimd_reduce_kernels_ref.finite_check(type, norm, count, x, power_sum);
    }
}
