// Reference row of attention: the formulas in double, rounded once; it also serves float64 for every row.
#include "attention.h"

#include "../support/scalar16.h"

const csimd_attention_kernels csimd_attention_kernels_ref = {.products = NULL};

static csimd_type statistics_type(csimd_type type) { return type == CSIMD_F64 ? CSIMD_F64 : CSIMD_F32; }

static double at(csimd_type type, csimd_heads x, size_t element, size_t head, size_t row, size_t d) {
    return csimd_load_f64(type, x.base, element * x.batch_stride + head * x.head_stride + row * x.row_stride + d);
}

static void set(csimd_type type, csimd_heads x, size_t element, size_t head, size_t row, size_t d, double value) {
    csimd_store_f64(type, csimd_attention_at(type, x, element, head, row), d, value);
}

static double dot(csimd_type type, size_t count, csimd_heads x, size_t x_head, size_t x_row, csimd_heads y, size_t y_head,
                  size_t y_row, size_t element) {
    double sum = 0;
    for (size_t d = 0; d < count; d++) sum += at(type, x, element, x_head, x_row, d) * at(type, y, element, y_head, y_row, d);
    return sum;
}

// scale q_i . k_j, -infinity where query i does not see key j.
static double score(const csimd_attention_args *g, size_t element, size_t head, size_t key_head, size_t i, size_t j) {
    if (j >= csimd_attention_visible(g, i) || (g->mask != NULL && g->mask[element * g->keys + j] == 0)) return -INFINITY;
    return g->scale * dot(g->type, g->head_size, g->q, head, i, g->k, key_head, j, element);
}

void csimd_attention_formula(const csimd_attention_args *g, csimd_heads o, void *log_sum_exp, size_t element, size_t key_head) {
    const size_t group = g->heads / g->key_heads;
    for (size_t head = key_head * group; head < (key_head + 1) * group; head++) {
        for (size_t i = 0; i < g->queries; i++) {
            double maximum = -INFINITY, sum = 0, result[csimd_attention_most_head_size] = {0};
            for (size_t j = 0; j < g->keys; j++) {
                const double s = score(g, element, head, key_head, i, j);
                if (s > maximum) maximum = s;
            }
            const double shift = maximum == -INFINITY ? 0 : maximum;
            for (size_t j = 0; j < g->keys; j++) {
                const double s = score(g, element, head, key_head, i, j);
                if (s == -INFINITY) continue;
                const double p = exp(s - shift);
                sum += p;
                for (size_t d = 0; d < g->head_size; d++) result[d] += p * at(g->type, g->v, element, key_head, j, d);
            }
            csimd_store_f64(statistics_type(g->type), log_sum_exp, (element * g->heads + head) * g->queries + i,
                            sum == 0 ? INFINITY : shift + log(sum));
            for (size_t d = 0; d < g->head_size; d++) set(g->type, o, element, head, i, d, sum == 0 ? 0 : result[d] / sum);
        }
    }
}

// Element by element, so that nothing is kept: dq by query, dk and dv by key.
void csimd_attention_gradient_formula(const csimd_attention_args *g, csimd_heads o, const void *log_sum_exp,
                                      csimd_heads o_gradient, csimd_heads q_gradient, csimd_heads k_gradient,
                                      csimd_heads v_gradient, size_t element, size_t key_head) {
    const size_t group = g->heads / g->key_heads, size = g->head_size;
    const csimd_type statistics = statistics_type(g->type);
    for (size_t head = key_head * group; head < (key_head + 1) * group; head++) {
        for (size_t i = 0; i < g->queries; i++) {
            const double total = csimd_load_f64(statistics, log_sum_exp, (element * g->heads + head) * g->queries + i);
            const double delta = dot(g->type, size, o, head, i, o_gradient, head, i, element);
            double sums[csimd_attention_most_head_size] = {0};
            for (size_t j = 0; j < g->keys; j++) {
                const double s = score(g, element, head, key_head, i, j);
                if (s == -INFINITY) continue;
                const double slope = dot(g->type, size, o_gradient, head, i, g->v, key_head, j, element) - delta;
                const double p = exp(s - total);
                for (size_t d = 0; d < size; d++) sums[d] += p * slope * g->scale * at(g->type, g->k, element, key_head, j, d);
            }
            for (size_t d = 0; d < size; d++) set(g->type, q_gradient, element, head, i, d, sums[d]);
        }
    }
    for (size_t j = 0; j < g->keys; j++) {
        double key_sums[csimd_attention_most_head_size] = {0}, value_sums[csimd_attention_most_head_size] = {0};
        for (size_t head = key_head * group; head < (key_head + 1) * group; head++) {
            for (size_t i = 0; i < g->queries; i++) {
                const double s = score(g, element, head, key_head, i, j);
                if (s == -INFINITY) continue;
                const double p = exp(s - csimd_load_f64(statistics, log_sum_exp, (element * g->heads + head) * g->queries + i));
                const double delta = dot(g->type, size, o, head, i, o_gradient, head, i, element);
                const double slope =
                    p * (dot(g->type, size, o_gradient, head, i, g->v, key_head, j, element) - delta) * g->scale;
                for (size_t d = 0; d < size; d++) {
                    value_sums[d] += p * at(g->type, o_gradient, element, head, i, d);
                    key_sums[d] += slope * at(g->type, g->q, element, head, i, d);
                }
            }
        }
        for (size_t d = 0; d < size; d++) {
            set(g->type, k_gradient, element, key_head, j, d, key_sums[d]);
            set(g->type, v_gradient, element, key_head, j, d, value_sums[d]);
        }
    }
}
