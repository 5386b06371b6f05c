// What attention does with scores, over the vocabulary of vector_avx2.h or vector_avx512.h. The including file defines before:
// lanes_maximum; rounds_weights, whether weights and slopes become bf16 pairs; PANEL_COLUMNS, the width of a panel of B;
// put_weights (a vector of a row of A) and put_pair (a vector of two rows as panels, and as rows of A where rows is not NULL).

V_INLINE v_mask lanes_first(ptrdiff_t lanes) { return v_less(v_to_f32(v_lane_numbers()), v_set((float)lanes)); }

V_INLINE v_f32 load_lanes(csimd_type type, const void *x, size_t index, size_t lanes) {
    return lanes == v_lanes ? v_load(type, x, index) : v_load_first(type, x, index, lanes);
}

V_INLINE void store_lanes(csimd_type type, void *y, size_t index, size_t lanes, v_f32 value) {
    if (lanes == v_lanes)
        v_store(type, y, index, value);
    else
        v_store_first(type, y, index, lanes, value);
}

// e^x within 2 u + 0.05 u |x| for x up to about 1, 0 from -104 down, NaN kept; as in softmax_body.h.
V_INLINE v_f32 exponential(v_f32 x) {
    x = v_max(v_set(v_exp_floor), x);
    const v_f32 n = v_nearest(v_mul(x, v_set(0x1.715476p+0f)));
    x = v_fnma(n, v_set(0x1.62e43p-1f), x);
    v_f32 p = v_fma(v_set(1.395080937e-03f), x, v_set(8.369073272e-03f));
    p = v_fma(p, x, v_set(4.166620225e-02f));
    p = v_fma(p, x, v_set(1.666651666e-01f));
    p = v_fma(p, x, v_set(0.5f));
    p = v_fma(p, x, v_set(1));
    p = v_fma(p, x, v_set(1));
    return v_scale(p, n);
}

// Columns that row r sees.
V_INLINE size_t columns_seen(const csimd_attention_stripe *stripe, size_t r) {
    if (!stripe->causal) return stripe->columns;
    const ptrdiff_t seen = stripe->visible + (ptrdiff_t)r;
    return seen <= 0 ? 0 : csimd_minimum(stripe->columns, (size_t)seen);
}

// Scores j ... of a row as the softmax takes them: scaled, with the mask, -infinity from column `seen` on.
V_INLINE v_f32 scores_at(const float *row, const uint32_t *mask, v_f32 scale, size_t j, size_t seen) {
    v_f32 value = v_mul(v_load(CSIMD_F32, row, j), scale);
    if (mask != NULL) {
        const v_f32 none = v_set(-INFINITY);
        value = v_xor(none, v_and(v_xor(none, value), v_load(CSIMD_F32, mask, j)));
    }
    if (j + v_lanes > seen) value = v_select(lanes_first((ptrdiff_t)seen - (ptrdiff_t)j), value, v_set(-INFINITY));
    return value;
}

static void weigh(const csimd_attention_stripe *stripe, float *weights, size_t ldw, float *maximum, float *sum, float *factor) {
    const v_f32 scale = v_set(stripe->scale);
    for (size_t r = 0; r < stripe->rows; r++) {
        const size_t seen = columns_seen(stripe, r);
        const float *row = stripe->scores + r * stripe->ld;
        float *to = weights + r * ldw;
        v_f32 best[2] = {v_set(-INFINITY), v_set(-INFINITY)}, part[2] = {v_set(0), v_set(0)};
        size_t j = 0;
        for (; j + 2 * v_lanes <= seen; j += 2 * v_lanes) {  // NaN is passed over; the sum will show it
            best[0] = v_max(scores_at(row, stripe->mask, scale, j, seen), best[0]);
            best[1] = v_max(scores_at(row, stripe->mask, scale, j + v_lanes, seen), best[1]);
        }
        for (; j < seen; j += v_lanes) best[0] = v_max(scores_at(row, stripe->mask, scale, j, seen), best[0]);
        const float largest = lanes_maximum(v_max(best[0], best[1])), before = maximum[r];
        maximum[r] = largest > before ? largest : before;
        const float shift = maximum[r] == -INFINITY ? 0 : maximum[r];
        factor[r] = before == maximum[r] ? 1 : expf(before - shift);
        const v_f32 s = v_set(shift);
        for (j = 0; j + 2 * v_lanes <= seen; j += 2 * v_lanes) {
            const v_f32 a = exponential(v_sub(scores_at(row, stripe->mask, scale, j, seen), s));
            const v_f32 b = exponential(v_sub(scores_at(row, stripe->mask, scale, j + v_lanes, seen), s));
            part[0] = v_add(part[0], a);
            part[1] = v_add(part[1], b);
            put_weights(to, j, a);
            put_weights(to, j + v_lanes, b);
        }
        for (; j < seen; j += v_lanes) {
            const v_f32 a = exponential(v_sub(scores_at(row, stripe->mask, scale, j, seen), s));
            part[0] = v_add(part[0], a);
            put_weights(to, j, a);
        }
        for (; j < stripe->columns; j += v_lanes) put_weights(to, j, v_set(0));
        sum[r] = sum[r] * factor[r] + (float)v_f64_sum(v_f64_widen(v_add(part[0], part[1])));
    }
}

static void slopes(const csimd_attention_stripe *stripe, size_t keys, const float *products, const float *log_sum_exp,
                   const float *delta, size_t row, float *weight_panels, float *slope_panels, size_t panel_stride,
                   float *slope_rows, size_t ldr) {
    const v_f32 scale = v_set(stripe->scale), zero = v_set(0);
    for (size_t r = 0; r < stripe->rows; r += 2) {
        const size_t count = csimd_minimum(2, stripe->rows - r);
        size_t seen[2] = {0, 0};
        v_f32 total[2] = {zero, zero}, less[2] = {zero, zero};
        for (size_t k = 0; k < count; k++) {
            seen[k] = columns_seen(stripe, r + k);
            total[k] = v_set(log_sum_exp[r + k]);
            less[k] = v_set(delta[r + k]);
        }
        for (size_t first = 0, panel = 0; first < stripe->columns; first += PANEL_COLUMNS, panel++) {
            const size_t width = keys - first > PANEL_COLUMNS / 2 ? PANEL_COLUMNS : PANEL_COLUMNS / 2;
            const size_t at = panel * panel_stride + (rounds_weights ? (row + r) / 2 : row + r) * width;
            for (size_t v = 0; v < width; v += v_lanes) {
                const size_t j = first + v;
                v_f32 p[2] = {zero, zero}, s[2] = {zero, zero};
                for (size_t k = 0; k < count; k++) {
                    if (j >= seen[k]) continue;
                    const float *from = stripe->scores + (r + k) * stripe->ld;
                    p[k] = exponential(v_sub(v_mul(v_load(CSIMD_F32, from, j), scale), total[k]));
                    const v_f32 product = v_load(CSIMD_F32, products + (r + k) * stripe->ld, j);
                    s[k] = v_mul(v_mul(p[k], scale), v_sub(product, less[k]));
                    if (stripe->mask != NULL) s[k] = v_and(s[k], v_load(CSIMD_F32, stripe->mask, j));
                    if (j + v_lanes > seen[k]) {
                        const v_mask shown = lanes_first((ptrdiff_t)seen[k] - (ptrdiff_t)j);
                        p[k] = v_select(shown, p[k], zero);
                        s[k] = v_select(shown, s[k], zero);
                    }
                }
                put_pair(weight_panels + at + v, width, count, p, NULL, 0, 0);
                put_pair(slope_panels + at + v, width, count, s, slope_rows + r * ldr, ldr, j);
            }
        }
    }
}

static void rescale(size_t rows, size_t columns, float *x, size_t ldx, const float *factor) {
    for (size_t r = 0; r < rows; r++) {
        if (factor[r] == 1) continue;
        const v_f32 f = v_set(factor[r]);
        for (size_t j = 0; j < columns; j += v_lanes) {  // rows end in spare room
            float *at = x + r * ldx + j;
            v_store(CSIMD_F32, at, 0, v_mul(v_load(CSIMD_F32, at, 0), f));
        }
    }
}

V_INLINE void finish_of(csimd_type type, size_t rows, size_t columns, const float *x, size_t ldx, const float *factor, void *y,
                        size_t ldy) {
    for (size_t r = 0; r < rows; r++) {
        const v_f32 f = v_set(factor == NULL ? 1 : factor[r]);
        for (size_t j = 0; j < columns; j += v_lanes)
            store_lanes(type, y, r * ldy + j, csimd_minimum(v_lanes, columns - j), v_mul(v_load(CSIMD_F32, x, r * ldx + j), f));
    }
}

static void finish(csimd_type type, size_t rows, size_t columns, const float *x, size_t ldx, const float *factor, void *y,
                   size_t ldy) {
    if (type == CSIMD_F32) finish_of(CSIMD_F32, rows, columns, x, ldx, factor, y, ldy);
    if (type == CSIMD_F16) finish_of(CSIMD_F16, rows, columns, x, ldx, factor, y, ldy);
    if (type == CSIMD_BF16) finish_of(CSIMD_BF16, rows, columns, x, ldx, factor, y, ldy);
}

V_INLINE void row_dots_of(csimd_type type, size_t rows, size_t columns, const void *a, size_t lda, const void *b, size_t ldb,
                          float *dots) {
    for (size_t r = 0; r < rows; r++) {
        v_f32 part = v_set(0);
        for (size_t j = 0; j < columns; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, columns - j);
            part = v_fma(load_lanes(type, a, r * lda + j, lanes), load_lanes(type, b, r * ldb + j, lanes), part);
        }
        dots[r] = (float)v_f64_sum(v_f64_widen(part));
    }
}

static void row_dots(csimd_type type, size_t rows, size_t columns, const void *a, size_t lda, const void *b, size_t ldb,
                     float *dots) {
    if (type == CSIMD_F32) row_dots_of(CSIMD_F32, rows, columns, a, lda, b, ldb, dots);
    if (type == CSIMD_F16) row_dots_of(CSIMD_F16, rows, columns, a, lda, b, ldb, dots);
    if (type == CSIMD_BF16) row_dots_of(CSIMD_BF16, rows, columns, a, lda, b, ldb, dots);
}

// Added to an exponent of all ones, its lowest bit carries into the sign: a word of float32, or two elements of 16 bits, at
// once.
V_INLINE bool all_finite_of(csimd_type type, size_t rows, size_t columns, const void *x, size_t ldx) {
    const v_i32 ones = v_set_i32(type == CSIMD_F32 ? 0x7F800000 : type == CSIMD_BF16 ? 0x7F807F80 : 0x7C007C00);
    const v_i32 lowest = v_set_i32(type == CSIMD_F32 ? 0x00800000 : type == CSIMD_BF16 ? 0x00800080 : 0x04000400);
    const size_t size = csimd_type_size(type), words = columns * size / sizeof(float);
    v_f32 carried = v_set(0);
    for (size_t r = 0; r < rows; r++) {
        const char *row = (const char *)x + r * ldx * size;
        size_t j = 0;
        for (; j + v_lanes <= words; j += v_lanes)
            carried = v_or(carried, v_of_bits(v_add_i32(v_and_i32(v_bits(v_load(CSIMD_F32, row, j)), ones), lowest)));
        if (j < words) {
            const v_i32 last = v_bits(v_load_first(CSIMD_F32, row, j, words - j));
            carried = v_or(carried, v_of_bits(v_add_i32(v_and_i32(last, ones), lowest)));
        }
        if (type != CSIMD_F32 && columns % 2 != 0 && !isfinite(csimd_load_f32(type, row, columns - 1))) return false;
    }
    const v_i32 signs = v_and_i32(v_bits(carried), v_set_i32(type == CSIMD_F32 ? INT32_MIN : (int32_t)0x80008000));
    return v_lanes_of_mask(v_less(v_set(0), v_abs(v_to_f32(signs)))) == 0;
}

static bool all_finite(csimd_type type, size_t rows, size_t columns, const void *x, size_t ldx) {
    if (type == CSIMD_F32) return all_finite_of(CSIMD_F32, rows, columns, x, ldx);
    if (type == CSIMD_F16) return all_finite_of(CSIMD_F16, rows, columns, x, ldx);
    return all_finite_of(CSIMD_BF16, rows, columns, x, ldx);
}
