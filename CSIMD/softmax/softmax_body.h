// Softmax, log-softmax and their gradients over the vocabulary of vector_avx2.h or vector_avx512.h, and the row statistics
// (maximum and sum of exponentials in one reading) that nll_body.h shares. The including file defines lanes_maximum and
// lanes_below before.
//
// A row is read in chunks of 32 vectors, 4 accumulators of at most 8 additions each, the chunks' sums added in float64: the
// sum's error is at most 10 u from additions and 2 u from v_exp, whatever the row's length.
// The chunk's maximum is taken first, from the same memory that the exponentials then find in the L1 cache.

enum { chunk_vectors = 32, chunk_columns = chunk_vectors * v_lanes };

typedef struct {
    float maximum;
    double sum;  // of exp(x_j - maximum); NaN where the row has no distribution
} row_statistics;

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t lanes) {
    return lanes == v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, lanes);
}

V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (lanes == v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, lanes, value);
}

// The last `lanes` (< v_lanes) elements of a row, -inf in the lanes beyond: they change neither a maximum nor a sum.
V_INLINE v_f32 load_tail(csimd_type type, const void *x, size_t index, size_t lanes) {
    return v_select(lanes_below(lanes), v_load_first(type, x, index, lanes), v_set(-INFINITY));
}

V_INLINE double lanes_sum(v_f32 a, v_f32 b, v_f32 c, v_f32 d) {
    return v_f64_sum(v_f64_widen(v_add(v_add(a, b), v_add(c, d))));
}

// max of x[start ... end); NaN is passed over (v_max returns its second operand), the sum will show it.
V_INLINE float chunk_maximum(csimd_type type, const void *x, size_t start, size_t end) {
    v_f32 a = v_set(-INFINITY), b = a, c = a, d = a;
    size_t j = start;
    for (; j + 4 * v_lanes <= end; j += 4 * v_lanes) {
        a = v_max(v_load(type, x, j), a);
        b = v_max(v_load(type, x, j + v_lanes), b);
        c = v_max(v_load(type, x, j + 2 * v_lanes), c);
        d = v_max(v_load(type, x, j + 3 * v_lanes), d);
    }
    for (; j + v_lanes <= end; j += v_lanes) a = v_max(v_load(type, x, j), a);
    if (j < end) b = v_max(load_tail(type, x, j, end - j), b);
    return lanes_maximum(v_max(v_max(a, b), v_max(c, d)));
}

// sum of exp(x_j - shift) over x[start ... end), at most chunk_columns of them.
V_INLINE double chunk_exponential_sum(csimd_type type, const void *x, size_t start, size_t end, float shift) {
    v_f32 a = v_set(0), b = a, c = a, d = a, s = v_set(shift);
    size_t j = start;
    for (; j + 4 * v_lanes <= end; j += 4 * v_lanes) {
        a = v_add(a, v_exp(v_sub(v_load(type, x, j), s)));
        b = v_add(b, v_exp(v_sub(v_load(type, x, j + v_lanes), s)));
        c = v_add(c, v_exp(v_sub(v_load(type, x, j + 2 * v_lanes), s)));
        d = v_add(d, v_exp(v_sub(v_load(type, x, j + 3 * v_lanes), s)));
    }
    for (; j + v_lanes <= end; j += v_lanes) a = v_add(a, v_exp(v_sub(v_load(type, x, j), s)));
    if (j < end) b = v_add(b, v_exp(v_sub(load_tail(type, x, j, end - j), s)));
    return lanes_sum(a, b, c, d);
}

V_INLINE row_statistics statistics_of_row(csimd_type type, const void *x, size_t start, size_t columns) {
    row_statistics row = {-INFINITY, 0};
    for (size_t j = start; j < start + columns; j += chunk_columns) {
        const size_t end = csimd_minimum(j + chunk_columns, start + columns);
        const float maximum = chunk_maximum(type, x, j, end);
        if (maximum > row.maximum) {
            if (row.sum != 0) row.sum *= exp((double)row.maximum - (double)maximum);
            row.maximum = maximum;
        }
        row.sum += chunk_exponential_sum(type, x, j, end, row.maximum == -INFINITY ? 0 : row.maximum);
    }
    if (row.maximum == -INFINITY) row.sum = NAN;  // only -inf
    return row;
}

V_INLINE void softmax_rows(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        const row_statistics row = statistics_of_row(type, x, start, columns);
        const v_f32 shift = v_set(row.maximum), scale = v_set((float)(1 / row.sum));
        size_t j = start, end = start + columns;
        for (; j + v_lanes <= end; j += v_lanes) v_store(type, y, j, v_mul(v_exp(v_sub(v_load(type, x, j), shift)), scale));
        if (j < end) v_store_first(type, y, j, end - j, v_mul(v_exp(v_sub(v_load_first(type, x, j, end - j), shift)), scale));
    }
}

V_INLINE void log_softmax_rows(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    assert(rows <= csimd_nll_block_rows);
    float maximum[csimd_nll_block_rows], sum[csimd_nll_block_rows];
    for (size_t i = 0; i < rows; i++) {
        const row_statistics row = statistics_of_row(type, x, i * columns, columns);
        maximum[i] = row.maximum;
        sum[i] = (float)row.sum;
    }
    for (size_t i = 0; i < rows; i += v_lanes) {  // the sums of up to v_lanes rows become their logarithms at once
        const size_t lanes = csimd_minimum(v_lanes, rows - i);
        store_lanes(CSIMD_F32, sum, i, lanes, v_log(load_lanes(CSIMD_F32, sum, i, lanes)));
    }
    for (size_t i = 0; i < rows; i++) {
        const v_f32 shift = v_set(maximum[i]), log_sum = v_set(sum[i]);
        size_t j = i * columns, end = j + columns;
        for (; j + v_lanes <= end; j += v_lanes) v_store(type, y, j, v_sub(v_sub(v_load(type, x, j), shift), log_sum));
        if (j < end) v_store_first(type, y, j, end - j, v_sub(v_sub(v_load_first(type, x, j, end - j), shift), log_sum));
    }
}

// sum of dy_j y_j, or of dy_j where y is NULL; zero lanes beyond the end add nothing.
V_INLINE double gradient_sum(csimd_type type, const void *y, const void *dy, size_t start, size_t end) {
    double sum = 0;
    const v_f32 one = v_set(1);
    for (size_t chunk = start; chunk < end; chunk += chunk_columns) {
        v_f32 part[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
        const size_t chunk_end = csimd_minimum(chunk + chunk_columns, end);
        size_t j = chunk;
        for (; j + 4 * v_lanes <= chunk_end; j += 4 * v_lanes)
#pragma clang loop unroll(full)
            for (size_t k = 0; k < 4; k++) {
                v_f32 factor = y == NULL ? one : v_load(type, y, j + k * v_lanes);
                part[k] = v_fma(v_load(type, dy, j + k * v_lanes), factor, part[k]);
            }
        for (; j < chunk_end; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, chunk_end - j);
            v_f32 factor = y == NULL ? one : load_lanes(type, y, j, lanes);
            part[0] = v_fma(load_lanes(type, dy, j, lanes), factor, part[0]);
        }
        sum += lanes_sum(part[0], part[1], part[2], part[3]);
    }
    return sum;
}

V_INLINE void softmax_gradient_rows(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        const v_f32 sum = v_set((float)gradient_sum(type, y, dy, start, start + columns));
        for (size_t j = start; j < start + columns; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, start + columns - j);
            v_f32 slope = v_sub(load_lanes(type, dy, j, lanes), sum);
            store_lanes(type, dx, j, lanes, v_mul(load_lanes(type, y, j, lanes), slope));
        }
    }
}

V_INLINE void log_softmax_gradient_rows(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        const v_f32 sum = v_set((float)gradient_sum(type, NULL, dy, start, start + columns));
        for (size_t j = start; j < start + columns; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, start + columns - j);
            v_f32 p = v_exp(load_lanes(type, y, j, lanes));
            store_lanes(type, dx, j, lanes, v_fnma(p, sum, load_lanes(type, dy, j, lanes)));
        }
    }
}

// Float64 is served by the reference row; each other type is a specialisation of the bodies above.
static void softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    switch (type) {
    case CSIMD_F32:
        softmax_rows(CSIMD_F32, rows, columns, x, y);
        return;
    case CSIMD_F16:
        softmax_rows(CSIMD_F16, rows, columns, x, y);
        return;
    case CSIMD_BF16:
        softmax_rows(CSIMD_BF16, rows, columns, x, y);
        return;
    case CSIMD_F64:
        csimd_softmax_kernels_ref.softmax(type, rows, columns, x, y);
        return;
    }
}

static void log_softmax(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    switch (type) {
    case CSIMD_F32:
        log_softmax_rows(CSIMD_F32, rows, columns, x, y);
        return;
    case CSIMD_F16:
        log_softmax_rows(CSIMD_F16, rows, columns, x, y);
        return;
    case CSIMD_BF16:
        log_softmax_rows(CSIMD_BF16, rows, columns, x, y);
        return;
    case CSIMD_F64:
        csimd_softmax_kernels_ref.log_softmax(type, rows, columns, x, y);
        return;
    }
}

static void softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    switch (type) {
    case CSIMD_F32:
        softmax_gradient_rows(CSIMD_F32, rows, columns, y, dy, dx);
        return;
    case CSIMD_F16:
        softmax_gradient_rows(CSIMD_F16, rows, columns, y, dy, dx);
        return;
    case CSIMD_BF16:
        softmax_gradient_rows(CSIMD_BF16, rows, columns, y, dy, dx);
        return;
    case CSIMD_F64:
        csimd_softmax_kernels_ref.softmax_gradient(type, rows, columns, y, dy, dx);
        return;
    }
}

static void log_softmax_gradient(csimd_type type, size_t rows, size_t columns, const void *y, const void *dy, void *dx) {
    switch (type) {
    case CSIMD_F32:
        log_softmax_gradient_rows(CSIMD_F32, rows, columns, y, dy, dx);
        return;
    case CSIMD_F16:
        log_softmax_gradient_rows(CSIMD_F16, rows, columns, y, dy, dx);
        return;
    case CSIMD_BF16:
        log_softmax_gradient_rows(CSIMD_BF16, rows, columns, y, dy, dx);
        return;
    case CSIMD_F64:
        csimd_softmax_kernels_ref.log_softmax_gradient(type, rows, columns, y, dy, dx);
        return;
    }
}
