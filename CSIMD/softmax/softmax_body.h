// Softmax, log-softmax and their gradients over the vocabulary of vector_avx2.h or vector_avx512.h, and the row statistics
// (maximum and sum of exponentials in one reading) that nll_body.h shares. The including file defines before:
// lanes_maximum, lanes_below, exponent_bias and times_power_of_two, store_four_numbers, few_columns and load_transposed.
//
// A row is read in blocks: the block's maximum first, then, from the L1 cache, the exponentials. Their sum is taken in chunks
// of 32 vectors, 4 accumulators of at most 8 additions each, and the chunks' sums are added in float64: at most 10 u from
// additions, whatever the row's length.

enum { chunk_vectors = 32, chunk_columns = chunk_vectors * v_lanes, block_columns = csimd_softmax_block_columns };

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

V_INLINE v_f64_pair lanes_sum(const v_f32 part[4]) {
    return v_f64_widen(v_add(v_add(part[0], part[1]), v_add(part[2], part[3])));
}

// Four vectors at a time go through each stage together: a long dependent chain a vector would fill the CPU's schedulers with
// waiting instructions before it could start the next vector's.
#define EACH_OF_FOUR _Pragma("clang loop unroll(full)") for (size_t k = 0; k < 4; k++)

V_INLINE void load_four(csimd_type type, const void *x, size_t index, v_f32 out[4]) {
    EACH_OF_FOUR out[k] = v_load(type, x, index + k * v_lanes);
}

// x = e^(x - shift) for x <= shift, within 2 u + 0.05 u |x - shift| (v_exp without the second part of ln 2, which float32 holds
// to 0.05 u, and without results above 1); 0 at -inf, NaN kept.
V_INLINE void exponential_four(v_f32 x[4], v_f32 shift) {
    v_f32 n[4], biased[4], p[4];
    EACH_OF_FOUR x[k] = v_max(v_set(v_exp_floor), v_sub(x[k], shift));
    EACH_OF_FOUR biased[k] = v_fma(x[k], v_set(0x1.715476p+0f), v_set(exponent_bias));
    EACH_OF_FOUR n[k] = v_sub(biased[k], v_set(exponent_bias));
    EACH_OF_FOUR x[k] = v_fnma(n[k], v_set(0x1.62e43p-1f), x[k]);
    EACH_OF_FOUR p[k] = v_fma(v_set(1.395080937e-03f), x[k], v_set(8.369073272e-03f));
    EACH_OF_FOUR p[k] = v_fma(p[k], x[k], v_set(4.166620225e-02f));
    EACH_OF_FOUR p[k] = v_fma(p[k], x[k], v_set(1.666651666e-01f));
    EACH_OF_FOUR p[k] = v_fma(p[k], x[k], v_set(0.5f));
    EACH_OF_FOUR p[k] = v_fma(p[k], x[k], v_set(1));
    EACH_OF_FOUR p[k] = v_fma(p[k], x[k], v_set(1));
    EACH_OF_FOUR x[k] = times_power_of_two(p[k], biased[k], n[k]);
}

V_INLINE v_f32 exponential(v_f32 x, v_f32 shift) {
    x = v_max(v_set(v_exp_floor), v_sub(x, shift));
    v_f32 biased = v_fma(x, v_set(0x1.715476p+0f), v_set(exponent_bias));
    v_f32 n = v_sub(biased, v_set(exponent_bias));
    x = v_fnma(n, v_set(0x1.62e43p-1f), x);
    v_f32 p = v_fma(v_set(1.395080937e-03f), x, v_set(8.369073272e-03f));
    p = v_fma(p, x, v_set(4.166620225e-02f));
    p = v_fma(p, x, v_set(1.666651666e-01f));
    p = v_fma(p, x, v_set(0.5f));
    p = v_fma(p, x, v_set(1));
    p = v_fma(p, x, v_set(1));
    return times_power_of_two(p, biased, n);
}

// max of x[start ... end); NaN is passed over (v_max returns its second operand), the sum will show it.
V_INLINE float block_maximum(csimd_type type, const void *x, size_t start, size_t end) {
    v_f32 value[4], best[4];
    EACH_OF_FOUR best[k] = v_set(-INFINITY);
    size_t j = start;
    for (; j + 4 * v_lanes <= end; j += 4 * v_lanes) {
        load_four(type, x, j, value);
        EACH_OF_FOUR best[k] = v_max(value[k], best[k]);
    }
    for (; j + v_lanes <= end; j += v_lanes) best[0] = v_max(v_load(type, x, j), best[0]);
    if (j < end) best[1] = v_max(load_tail(type, x, j, end - j), best[1]);
    return lanes_maximum(v_max(v_max(best[0], best[1]), v_max(best[2], best[3])));
}

// sum of exp(x_j - shift) over x[start ... end); the exponentials are kept in `exps` where it is not NULL. Meanwhile as many
// elements beyond `end` are fetched: the next block or row, whose maximum would otherwise wait for memory while no arithmetic
// is left to do.
V_INLINE double exponential_sum(csimd_type type, const void *x, size_t start, size_t end, float shift, float *exps) {
    const v_f32 s = v_set(shift);
    v_f64_pair total = v_f64_zero();
    for (size_t chunk = start; chunk < end; chunk += chunk_columns) {
        const size_t chunk_end = csimd_minimum(chunk + chunk_columns, end);
        v_f32 value[4], part[4];
        EACH_OF_FOUR part[k] = v_set(0);
        size_t j = chunk;
        for (; j + 4 * v_lanes <= chunk_end; j += 4 * v_lanes) {
            load_four(type, x, j, value);
            for (size_t byte = 0; byte < 4 * v_lanes * csimd_type_size(type); byte += CSIMD_ALIGNMENT)
                __builtin_prefetch((const char *)x + (j + end - start) * csimd_type_size(type) + byte);
            exponential_four(value, s);
            EACH_OF_FOUR part[k] = v_add(part[k], value[k]);
            if (exps != NULL) EACH_OF_FOUR v_store(CSIMD_F32, exps, j - start + k * v_lanes, value[k]);
        }
        for (; j < chunk_end; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, chunk_end - j);
            v_f32 e = exponential(lanes == v_lanes ? v_load(type, x, j) : load_tail(type, x, j, lanes), s);
            part[0] = v_add(part[0], e);
            if (exps != NULL) store_lanes(CSIMD_F32, exps, j - start, lanes, e);
        }
        total = v_f64_add(total, lanes_sum(part));
    }
    return v_f64_sum(total);
}

// exps: NULL or csimd_nll_scratch_floats; each block's exponentials are relative to the row's maximum so far, which is kept
// behind them all, one a block.
V_INLINE row_statistics statistics_of_row(csimd_type type, const void *x, size_t start, size_t columns, float *exps) {
    row_statistics row = {-INFINITY, 0};
    for (size_t j = start; j < start + columns; j += block_columns) {
        const size_t end = csimd_minimum(j + block_columns, start + columns);
        const float maximum = block_maximum(type, x, j, end);
        if (maximum > row.maximum) {
            if (row.sum != 0) row.sum *= exp((double)row.maximum - (double)maximum);
            row.maximum = maximum;
        }
        const float shift = row.maximum == -INFINITY ? 0 : row.maximum;
        row.sum += exponential_sum(type, x, j, end, shift, exps == NULL ? NULL : exps + (j - start));
        if (exps != NULL) exps[columns + (j - start) / block_columns] = shift;
    }
    if (row.maximum == -INFINITY) row.sum = NAN;  // only -inf
    return row;
}

// The same for v_lanes rows of at most few_columns elements at once: lanes are rows, so that nothing is summed across lanes.
V_INLINE void statistics_of_short_rows(csimd_type type, const void *x, size_t start, size_t rows, size_t columns,
                                       float *maximum, float *sum) {
    v_f32 column[few_columns], part[4];
    load_transposed(type, x, start, rows, columns, column);
    v_f32 most = column[0];
    for (size_t c = 1; c < columns; c++) most = v_max(column[c], most);
    const v_mask none = v_equal(most, v_set(-INFINITY));
    const v_f32 shift = v_select(none, v_set(0), most);
    EACH_OF_FOUR part[k] = v_set(0);
    for (size_t c = 0; c < columns; c += 4) {  // columns beyond the last are -inf
        v_f32 value[4];
        EACH_OF_FOUR value[k] = column[c + k];
        exponential_four(value, shift);
        EACH_OF_FOUR part[k] = v_add(part[k], value[k]);
    }
    v_f32 total = v_add(v_add(part[0], part[1]), v_add(part[2], part[3]));
    store_lanes(CSIMD_F32, maximum, 0, rows, most);
    store_lanes(CSIMD_F32, sum, 0, rows, v_select(none, v_set(NAN), total));
}

// The sums of up to v_lanes rows become their logarithms at once.
V_INLINE void logarithms(float *x, size_t count) {
    for (size_t i = 0; i < count; i += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, count - i);
        store_lanes(CSIMD_F32, x, i, lanes, v_log(load_lanes(CSIMD_F32, x, i, lanes)));
    }
}

// maximum[i] and log_sum[i] = log sum_j exp(x_ij - maximum[i]), NaN where row i has no distribution; at most a block of rows.
V_INLINE void statistics_of_rows(csimd_type type, const void *x, size_t rows, size_t columns, float *maximum, float *log_sum) {
    assert(rows <= csimd_nll_block_rows);
    if (columns <= few_columns) {
        for (size_t i = 0; i < rows; i += v_lanes)
            statistics_of_short_rows(type, x, i * columns, csimd_minimum(v_lanes, rows - i), columns, maximum + i, log_sum + i);
    } else {
        for (size_t i = 0; i < rows; i++) {
            const row_statistics row = statistics_of_row(type, x, i * columns, columns, NULL);
            maximum[i] = row.maximum;
            log_sum[i] = (float)row.sum;
        }
    }
    logarithms(log_sum, rows);
}

V_INLINE void softmax_rows(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    for (size_t start = 0; start < rows * columns; start += columns) {
        const row_statistics row = statistics_of_row(type, x, start, columns, NULL);
        const v_f32 shift = v_set(row.maximum), scale = v_set((float)(1 / row.sum));
        size_t j = start, end = start + columns;
        for (; j + v_lanes <= end; j += v_lanes) v_store(type, y, j, v_mul(v_exp(v_sub(v_load(type, x, j), shift)), scale));
        if (j < end) v_store_first(type, y, j, end - j, v_mul(v_exp(v_sub(v_load_first(type, x, j, end - j), shift)), scale));
    }
}

V_INLINE void log_softmax_rows(csimd_type type, size_t rows, size_t columns, const void *x, void *y) {
    float maximum[csimd_nll_block_rows], log_sum[csimd_nll_block_rows];
    statistics_of_rows(type, x, rows, columns, maximum, log_sum);
    for (size_t i = 0; i < rows; i++) {
        const v_f32 shift = v_set(maximum[i]), less = v_set(log_sum[i]);
        size_t j = i * columns, end = j + columns;
        for (; j + v_lanes <= end; j += v_lanes) v_store(type, y, j, v_sub(v_sub(v_load(type, x, j), shift), less));
        if (j < end) v_store_first(type, y, j, end - j, v_sub(v_sub(v_load_first(type, x, j, end - j), shift), less));
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
        for (; j + 4 * v_lanes <= chunk_end; j += 4 * v_lanes) EACH_OF_FOUR {
                v_f32 factor = y == NULL ? one : v_load(type, y, j + k * v_lanes);
                part[k] = v_fma(v_load(type, dy, j + k * v_lanes), factor, part[k]);
            }
        for (; j < chunk_end; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, chunk_end - j);
            v_f32 factor = y == NULL ? one : load_lanes(type, y, j, lanes);
            part[0] = v_fma(load_lanes(type, dy, j, lanes), factor, part[0]);
        }
        sum += v_f64_sum(lanes_sum(part));
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
