// Fused log-softmax + NLL over the vocabulary of vector_avx2.h or vector_avx512.h; included after softmax_body.h.
//
// Forward reads a row once (label smoothing reads it a second time, from the cache). Backward is one read, one exponential and
// one write an element; both together are one read, one exponential and one write. What happens once a row (logarithm, target's
// gradient) is done for v_lanes rows at once, so that rows of 10 classes cost little more than their one vector.

enum { block_rows = csimd_nll_block_rows };

// p = exp(x - log_sum_exp) inherits the rounding of log_sum_exp, u |log_sum_exp|: up to 16 that is at most 8 u. Beyond, the row
// is normalised anew by 1 / sum_j exp(x_j - log_sum_exp), a second reading.
static const float trusted_log_sum_exp = 16;

// sum of w_c (maximum - x_c), the terms of weight 0 left out. Chunks as in softmax_body.h: at most 10 u from additions, and
// 2 u from each term.
V_INLINE double weighted_distance(csimd_type type, const void *x, size_t start, size_t columns, const float *class_weights,
                                  float maximum) {
    double sum = 0;
    const v_f32 shift = v_set(maximum), zero = v_set(0);
    for (size_t chunk = 0; chunk < columns; chunk += chunk_columns) {
        v_f32 part[4] = {zero, zero, zero, zero};
        const size_t end = csimd_minimum(chunk + chunk_columns, columns);
        for (size_t j = chunk, k = 0; j < end; j += v_lanes, k = (k + 1) & 3) {
            const size_t lanes = csimd_minimum(v_lanes, end - j);
            v_f32 distance = v_sub(shift, load_lanes(type, x, start + j, lanes));
            if (class_weights != NULL) {
                v_f32 weight = load_lanes(CSIMD_F32, class_weights, j, lanes);
                distance = v_select(v_equal(weight, zero), zero, v_mul(weight, distance));
            }
            if (lanes < v_lanes) distance = v_select(lanes_below(lanes), distance, zero);
            part[k] = v_add(part[k], distance);
        }
        sum += v_f64_sum(lanes_sum(part));
    }
    return sum;
}

// A term of weight 0 does not count, whatever its probability is.
V_INLINE float weighted(float weight, float negative_log_p) { return weight == 0 ? 0 : weight * negative_log_p; }

// The targets' logits, before a gradient is written over them; 0 in ignored rows.
V_INLINE void load_target_logits(csimd_type type, const csimd_nll_args *block, float *logit) {
    for (size_t i = 0; i < block->rows; i++) {
        const int64_t target = block->targets[i];
        logit[i] = target == block->ignore_index ? 0 : csimd_load_f32(type, block->logits, i * block->columns + (size_t)target);
    }
}

// The rows' losses from maxima, logarithms of sums, and targets' logits. The logits are read with label smoothing only.
V_INLINE void losses_of_rows(csimd_type type, const csimd_nll_args *block, double weight_total, const float *maximum,
                             const float *log_sum, const float *target_logit, float *row_loss, float *log_sum_exp,
                             double *loss_sum, double *weight_sum) {
    const size_t rows = block->rows, columns = block->columns;
    const float *class_weights = block->class_weights, smoothing = (float)block->label_smoothing;
    double losses = 0, weights = 0;
    for (size_t i = 0; i < rows; i++) {
        float loss = 0;
        log_sum_exp[i] = maximum[i] + log_sum[i];
        if (block->targets[i] != block->ignore_index) {
            const float weight = class_weights == NULL ? 1 : class_weights[block->targets[i]];
            loss = weighted((1 - smoothing) * weight, (maximum[i] - target_logit[i]) + log_sum[i]);
            if (smoothing > 0) {
                double others = weighted_distance(type, block->logits, i * columns, columns, class_weights, maximum[i]);
                loss += (float)(smoothing / (double)columns * (others + weight_total * log_sum[i]));
            }
            weights += weight;
        }
        losses += loss;
        if (row_loss != NULL) row_loss[i] = loss;
    }
    *loss_sum = losses;
    *weight_sum = weights;
}

V_INLINE void nll_forward_rows(csimd_type type, const csimd_nll_args *block, double weight_total, float *row_loss,
                               float *log_sum_exp, double *loss_sum, double *weight_sum) {
    float maximum[block_rows], log_sum[block_rows], target_logit[block_rows];
    load_target_logits(type, block, target_logit);
    statistics_of_rows(type, block->logits, block->rows, block->columns, maximum, log_sum);
    losses_of_rows(type, block, weight_total, maximum, log_sum, target_logit, row_loss, log_sum_exp, loss_sum, weight_sum);
}

// What a row's gradient is made of: p_c * softmax_factor - smoothing_share * w_c, and less target_share at the target.
typedef struct {
    float softmax_factor[block_rows], smoothing_share[block_rows], target_share[block_rows], target_gradient[block_rows];
} gradient_rows;

V_INLINE void gradient_row(csimd_type type, const void *x, void *gradient, size_t start, size_t columns,
                           const float *class_weights, float log_sum_exp, float softmax_factor, float smoothing_share) {
    const v_f32 shift = v_set(log_sum_exp), factor = v_set(softmax_factor), share = v_set(smoothing_share);
    const bool numbers = isfinite(log_sum_exp) && isfinite(softmax_factor);  // then all of p and p * factor are
    size_t j = 0;
    if (smoothing_share == 0) {
        for (; j + 4 * v_lanes <= columns; j += 4 * v_lanes) {
            v_f32 p[4];
            load_four(type, x, start + j, p);
            exponential_four(p, shift);
            EACH_OF_FOUR p[k] = v_mul(p[k], factor);
            if (numbers)
                store_four_numbers(type, gradient, start + j, p);
            else
                EACH_OF_FOUR v_store(type, gradient, start + j + k * v_lanes, p[k]);
        }
        for (; j + v_lanes <= columns; j += v_lanes)
            v_store(type, gradient, start + j, v_mul(exponential(v_load(type, x, start + j), shift), factor));
        if (j < columns) {
            v_f32 p = exponential(v_load_first(type, x, start + j, columns - j), shift);
            v_store_first(type, gradient, start + j, columns - j, v_mul(p, factor));
        }
        return;
    }
    for (; j < columns; j += v_lanes) {
        const size_t lanes = csimd_minimum(v_lanes, columns - j);
        v_f32 weight = class_weights == NULL ? v_set(1) : load_lanes(CSIMD_F32, class_weights, j, lanes);
        v_f32 p = exponential(load_lanes(type, x, start + j, lanes), shift);
        store_lanes(type, gradient, start + j, lanes, v_fms(p, factor, v_mul(share, weight)));
    }
}

V_INLINE void nll_backward_rows(csimd_type type, const csimd_nll_args *block, double weight_total, const float *log_sum_exp,
                                const float *row_scale, double scale, void *gradient) {
    const size_t rows = block->rows, columns = block->columns;
    const double smoothing = block->label_smoothing, everywhere = smoothing / (double)columns;
    assert(rows <= block_rows);
    gradient_rows k;
    for (size_t i = 0; i < rows; i++) {
        const int64_t target = block->targets[i];
        if (target == block->ignore_index) {
            k.softmax_factor[i] = k.smoothing_share[i] = k.target_share[i] = k.target_gradient[i] = 0;
            continue;
        }
        const double g = row_scale == NULL ? scale : scale * (double)row_scale[i];
        const double weight = block->class_weights == NULL ? 1 : (double)block->class_weights[target];
        const double on_target = (1 - smoothing) * weight;
        const double factor = g * (on_target + everywhere * weight_total);
        double normalisation = 1;
        if (factor != 0 && fabsf(log_sum_exp[i]) > trusted_log_sum_exp) {
            normalisation = 1 / exponential_sum(type, block->logits, i * columns, (i + 1) * columns, log_sum_exp[i], NULL);
        }
        k.softmax_factor[i] = (float)(factor * normalisation);
        k.smoothing_share[i] = (float)(g * everywhere);
        k.target_share[i] = (float)(g * (on_target + everywhere * weight));
        k.target_gradient[i] = csimd_load_f32(type, block->logits, i * columns + (size_t)target);
    }
    for (size_t i = 0; i < rows; i += v_lanes) {  // target_gradient holds the targets' logits until here
        const size_t lanes = csimd_minimum(v_lanes, rows - i);
        v_f32 logit = load_lanes(CSIMD_F32, k.target_gradient, i, lanes);
        v_f32 p = exponential(logit, load_lanes(CSIMD_F32, log_sum_exp, i, lanes));
        v_f32 share = load_lanes(CSIMD_F32, k.target_share, i, lanes);
        store_lanes(CSIMD_F32, k.target_gradient, i, lanes, v_fms(p, load_lanes(CSIMD_F32, k.softmax_factor, i, lanes), share));
    }
    const size_t row_bytes = columns * csimd_type_size(type);
    for (size_t i = 0; i < rows; i++) {
        // Ignored, or of weight 0: whatever its logits are.
        if (k.softmax_factor[i] == 0 && k.smoothing_share[i] == 0 && k.target_share[i] == 0) {
            memset((char *)gradient + i * row_bytes, 0, row_bytes);
            continue;
        }
        gradient_row(type, block->logits, gradient, i * columns, columns, block->class_weights, log_sum_exp[i],
                     k.softmax_factor[i], k.smoothing_share[i]);
        csimd_store_f32(type, gradient, i * columns + (size_t)block->targets[i], k.target_gradient[i]);
    }
}

// gradient[start + j] = exps[j] factor, factor of each block so that it counts from the row's own maximum.
V_INLINE void scaled_exponentials(csimd_type type, const float *exps, size_t columns, row_statistics row, double factor,
                                  void *gradient, size_t start) {
    const bool numbers = isfinite(row.sum) && isfinite((float)factor);
    for (size_t first = 0; first < columns; first += block_columns) {
        const float shift = exps[columns + first / block_columns];
        const double rest = shift == row.maximum ? 1 : exp((double)shift - (double)row.maximum);
        const v_f32 f = v_set((float)(factor * rest));
        const size_t end = csimd_minimum(first + block_columns, columns);
        size_t j = first;
        for (; j + 4 * v_lanes <= end; j += 4 * v_lanes) {
            v_f32 p[4];
            EACH_OF_FOUR p[k] = v_mul(v_load(CSIMD_F32, exps, j + k * v_lanes), f);
            if (numbers)
                store_four_numbers(type, gradient, start + j, p);
            else
                EACH_OF_FOUR v_store(type, gradient, start + j + k * v_lanes, p[k]);
        }
        for (; j < end; j += v_lanes) {
            const size_t lanes = csimd_minimum(v_lanes, end - j);
            store_lanes(type, gradient, start + j, lanes, v_mul(load_lanes(CSIMD_F32, exps, j, lanes), f));
        }
    }
}

// One exponential an element: those of forward wait in `exps` (L1, or L2 where rows are long) until their sum is known.
V_INLINE void nll_both_rows(csimd_type type, const csimd_nll_args *block, double weight_total, float *row_loss,
                            float *log_sum_exp, double *loss_sum, double *weight_sum, double scale, void *gradient,
                            float *exps) {
    const size_t rows = block->rows, columns = block->columns;
    if (columns <= few_columns || block->label_smoothing > 0) {
        nll_forward_rows(type, block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum);
        nll_backward_rows(type, block, weight_total, log_sum_exp, NULL, scale, gradient);
        return;
    }
    assert(rows <= block_rows);
    float maximum[block_rows], log_sum[block_rows], target_logit[block_rows];
    load_target_logits(type, block, target_logit);
    const size_t row_bytes = columns * csimd_type_size(type);
    for (size_t i = 0; i < rows; i++) {
        const row_statistics row = statistics_of_row(type, block->logits, i * columns, columns, exps);
        maximum[i] = row.maximum;
        log_sum[i] = (float)row.sum;
        const bool counts = block->targets[i] != block->ignore_index;
        const size_t target = counts ? (size_t)block->targets[i] : 0;
        const double share = scale * (block->class_weights == NULL ? 1 : (double)block->class_weights[target]);
        if (!counts || share == 0) {
            memset((char *)gradient + i * row_bytes, 0, row_bytes);
            continue;
        }
        scaled_exponentials(type, exps, columns, row, share / row.sum, gradient, i * columns);
        const float shift = exps[columns + target / block_columns];
        const double rest = shift == row.maximum ? 1 : exp((double)shift - (double)row.maximum);
        csimd_store_f32(type, gradient, i * columns + target, (float)(share * (exps[target] * rest / row.sum - 1)));
    }
    logarithms(log_sum, rows);
    losses_of_rows(type, block, weight_total, maximum, log_sum, target_logit, row_loss, log_sum_exp, loss_sum, weight_sum);
}

// Float64 is served by the reference row; each other type is a specialisation of the bodies above.
static void nll_forward(const csimd_nll_args *block, double weight_total, void *row_loss, void *log_sum_exp, double *loss_sum,
                        double *weight_sum) {
    switch (block->type) {
    case CSIMD_F32:
        nll_forward_rows(CSIMD_F32, block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum);
        return;
    case CSIMD_F16:
        nll_forward_rows(CSIMD_F16, block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum);
        return;
    case CSIMD_BF16:
        nll_forward_rows(CSIMD_BF16, block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum);
        return;
    case CSIMD_F64:
        csimd_softmax_kernels_ref.nll_forward(block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum);
        return;
    }
}

static void nll_backward(const csimd_nll_args *block, double weight_total, const void *log_sum_exp, const void *row_scale,
                         double scale, void *gradient) {
    switch (block->type) {
    case CSIMD_F32:
        nll_backward_rows(CSIMD_F32, block, weight_total, log_sum_exp, row_scale, scale, gradient);
        return;
    case CSIMD_F16:
        nll_backward_rows(CSIMD_F16, block, weight_total, log_sum_exp, row_scale, scale, gradient);
        return;
    case CSIMD_BF16:
        nll_backward_rows(CSIMD_BF16, block, weight_total, log_sum_exp, row_scale, scale, gradient);
        return;
    case CSIMD_F64:
        csimd_softmax_kernels_ref.nll_backward(block, weight_total, log_sum_exp, row_scale, scale, gradient);
        return;
    }
}

static void nll_both(const csimd_nll_args *block, double weight_total, void *row_loss, void *log_sum_exp, double *loss_sum,
                     double *weight_sum, double scale, void *gradient, float *exps) {
    switch (block->type) {
    case CSIMD_F32:
        nll_both_rows(CSIMD_F32, block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum, scale, gradient, exps);
        return;
    case CSIMD_F16:
        nll_both_rows(CSIMD_F16, block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum, scale, gradient, exps);
        return;
    case CSIMD_BF16:
        nll_both_rows(CSIMD_BF16, block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum, scale, gradient, exps);
        return;
    case CSIMD_F64:
        csimd_softmax_kernels_ref.nll_both(block, weight_total, row_loss, log_sum_exp, loss_sum, weight_sum, scale, gradient,
                                           exps);
        return;
    }
}
