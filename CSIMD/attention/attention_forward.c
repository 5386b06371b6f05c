// One key head's share of attention, forward: K and V are packed once, then stripes of queries (a tile's height) go over blocks
// of keys with an online softmax. Scores are computed where the next product reads them as rows of A.
#include "attention.h"

static inline size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

static size_t key_panel_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *g) {
    return csimd_round_up(csimd_attention_keys, kernels->products->nr) *
           csimd_gemm_packed_depth(kernels->products, g->head_size);
}

static size_t value_panel_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *g) {
    return csimd_round_up(g->head_size, kernels->products->nr) *
           csimd_gemm_packed_depth(kernels->products, csimd_attention_keys);
}

size_t csimd_attention_forward_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *g) {
    const csimd_gemm_kernels *products = kernels->products;
    const size_t blocks = divide_up(g->keys, csimd_attention_keys), rows = products->mr * products->a_row_stride;
    return blocks * (key_panel_floats(kernels, g) + value_panel_floats(kernels, g) + csimd_attention_keys) + 3 * rows +
           products->mr * csimd_round_up(g->head_size, products->nr);
}

typedef struct {
    float *keys, *values;               // of all blocks
    uint32_t *masks;                    // of all blocks
    float *queries, *scores, *weights;  // rows of A
    float *sums;
    size_t key_floats, value_floats, ldsums;
    bool values_finite;  // or of no concern: every query sees what the mask shows
} forward_buffers;

static forward_buffers buffers_in(const csimd_attention_kernels *kernels, const csimd_attention_args *g, float *scratch) {
    const csimd_gemm_kernels *products = kernels->products;
    const size_t blocks = divide_up(g->keys, csimd_attention_keys), rows = products->mr * products->a_row_stride;
    forward_buffers b = {.key_floats = key_panel_floats(kernels, g),
                         .value_floats = value_panel_floats(kernels, g),
                         .ldsums = csimd_round_up(g->head_size, products->nr)};
    b.keys = scratch;
    b.values = b.keys + blocks * b.key_floats;
    float *masks = b.values + blocks * b.value_floats;
    b.masks = (uint32_t *)(void *)masks;
    b.queries = masks + blocks * csimd_attention_keys;
    b.scores = b.queries + rows;
    b.weights = kernels->rounds_weights ? b.scores + rows : b.scores;
    b.sums = b.scores + 2 * rows;
    return b;
}

// The values of the block of keys from `start` on.
static csimd_attention_key_rows values_from(const csimd_attention_call *call, const forward_buffers *b, size_t element,
                                            size_t key_head, size_t start) {
    const csimd_attention_args *g = call->args;
    const size_t block = start / csimd_attention_keys;
    return (csimd_attention_key_rows){
        .kernels = call->kernels,
        .type = g->type,
        .x = csimd_attention_at(g->type, g->v, element, key_head, start),
        .ldx = g->v.row_stride,
        .keys = csimd_minimum(csimd_attention_keys, g->keys - start),
        .size = g->head_size,
        .mask = g->mask == NULL ? NULL : b->masks + block * csimd_attention_keys,
        .finite = b->values_finite,
        .packed = b->values + block * b->value_floats,
    };
}

// One stripe of queries first ..< first + rows of a head.
static void run_stripe(const csimd_attention_call *call, const forward_buffers *b, size_t element, size_t head, size_t first,
                       size_t rows) {
    const csimd_attention_args *g = call->args;
    const csimd_attention_kernels *kernels = call->kernels;
    const csimd_gemm_kernels *products = kernels->products;
    const size_t size = g->head_size, stride = products->a_row_stride, nr = products->nr;
    float maximum[32], sum[32], factor[32];
    assert(rows <= 32);
    for (size_t r = 0; r < rows; r++) {
        maximum[r] = -INFINITY;
        sum[r] = 0;
    }
    products->pack_a_rows(g->type, csimd_attention_at(g->type, g->q, element, head, first), g->q.row_stride, rows, size,
                          b->queries);
    const size_t seen = csimd_attention_visible(g, first + rows - 1);
    for (size_t start = 0, block = 0; start < seen; start += csimd_attention_keys, block++) {
        const size_t keys = csimd_minimum(csimd_attention_keys, g->keys - start);
        const size_t columns = csimd_minimum(keys, seen - start);
        const float *key_panels = b->keys + block * b->key_floats;
        const csimd_attention_key_rows values = values_from(call, b, element, head / (g->heads / g->key_heads), start);
        for (size_t j = 0; j < columns; j += nr)
            kernels->multiply(rows, csimd_minimum(nr, keys - j), csimd_attention_packed(kernels, size), b->queries, false,
                              key_panels + j * csimd_gemm_packed_depth(products, size), false, b->scores + j, stride);
        const csimd_attention_stripe stripe = {
            .rows = rows,
            .columns = columns,
            .visible = (ptrdiff_t)(g->keys + first + 1) - (ptrdiff_t)(g->queries + start),
            .causal = g->causal,
            .scale = (float)g->scale,
            .mask = values.mask,
            .scores = b->scores,
            .ld = stride,
        };
        kernels->weigh(&stripe, b->weights, stride, maximum, sum, factor);
        if (start > 0) kernels->rescale(rows, size, b->sums, b->ldsums, factor);
        csimd_attention_sum_key_rows(&values, &stripe, b->weights, start > 0, b->sums, b->ldsums);
    }
    float *log_sum_exp = call->log_sum_exp + (element * g->heads + head) * g->queries + first;
    for (size_t r = 0; r < rows; r++) {
        factor[r] = sum[r] == 0 ? 0 : 1 / sum[r];
        log_sum_exp[r] = sum[r] == 0 ? INFINITY : maximum[r] + logf(sum[r]);
    }
    if (seen == 0) memset(b->sums, 0, rows * b->ldsums * sizeof(float));
    kernels->finish(g->type, rows, size, b->sums, b->ldsums, factor, csimd_attention_at(g->type, call->o, element, head, first),
                    call->o.row_stride);
}

void csimd_attention_forward_task(const csimd_attention_call *call, size_t element, size_t key_head, size_t part,
                                  float *scratch) {
    const csimd_attention_args *g = call->args;
    const csimd_gemm_kernels *products = call->kernels->products;
    forward_buffers b = buffers_in(call->kernels, g, scratch);
    b.values_finite =
        !g->causal || call->kernels->all_finite(g->type, g->keys, g->head_size,
                                                csimd_attention_at(g->type, g->v, element, key_head, 0), g->v.row_stride);
    for (size_t start = 0, block = 0; start < g->keys; start += csimd_attention_keys, block++) {
        const size_t keys = csimd_minimum(csimd_attention_keys, g->keys - start);
        products->pack_b_columns(g->type, csimd_attention_at(g->type, g->k, element, key_head, start), g->k.row_stride,
                                 g->head_size, keys, b.keys + block * b.key_floats);
        csimd_attention_mask(g, element, start, keys, b.masks + block * csimd_attention_keys);
        const csimd_attention_key_rows values = values_from(call, &b, element, key_head, start);
        csimd_attention_pack_key_rows(&values);
    }
    // Stripes of a fixed height, dealt to the parts in turn.
    const size_t group = g->heads / g->key_heads, stripes = divide_up(g->queries, products->mr);
    for (size_t index = part; index < group * stripes; index += call->parts) {
        const size_t first = index % stripes * products->mr;
        run_stripe(call, &b, element, key_head * group + index / stripes, first,
                   csimd_minimum(products->mr, g->queries - first));
    }
}

// So few queries (generation: one) that packing would cost more than it saves: scores as dot products of the keys where they
// lie, then rows of values, all by the kernels of narrow products.
size_t csimd_attention_few_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *g) {
    const csimd_gemm_kernels *products = kernels->products;
    const size_t rows = csimd_attention_few_queries, keys = csimd_round_up(g->keys, products->nr);
    return rows * products->a_row_stride + rows * keys + keys + keys * products->a_panel_width +
           rows * csimd_round_up(g->head_size, products->nr) + csimd_attention_few_keys * g->head_size;
}

void csimd_attention_few_task(const csimd_attention_call *call, size_t element, size_t key_head, float *scratch) {
    const csimd_attention_args *g = call->args;
    const csimd_attention_kernels *kernels = call->kernels;
    const csimd_gemm_kernels *products = kernels->products;
    const size_t rows = g->queries, most = csimd_attention_few_queries, keys = csimd_round_up(g->keys, products->nr);
    const size_t width = products->a_panel_width, ldsums = csimd_round_up(g->head_size, products->nr);
    float *queries = scratch, *scores = queries + most * products->a_row_stride, *masks = scores + most * keys;
    float *panel = masks + keys, *sums = panel + keys * width, *copy = sums + most * ldsums;
    const uint32_t *mask = csimd_attention_mask(g, element, 0, g->keys, (uint32_t *)(void *)masks);
    const void *k = csimd_attention_at(g->type, g->k, element, key_head, 0);
    const size_t group = g->heads / g->key_heads;
    for (size_t head = key_head * group; head < (key_head + 1) * group; head++) {
        float maximum[csimd_attention_few_queries], sum[csimd_attention_few_queries], factor[csimd_attention_few_queries];
        memset(queries, 0, rows * products->a_row_stride * sizeof(float));
        products->pack_a_rows(g->type, csimd_attention_at(g->type, g->q, element, head, 0), g->q.row_stride, rows, g->head_size,
                              queries);
        const size_t seen = csimd_attention_visible(g, rows - 1);
        const csimd_gemm_parts whole = {.first = true, .last = true};
        if (seen > 0) products->dot_few(g->type, rows, seen, g->head_size, queries, k, g->k.row_stride, whole, scores, keys);
        for (size_t r = 0; r < rows; r++) {
            maximum[r] = -INFINITY;
            sum[r] = 0;
        }
        const csimd_attention_stripe stripe = {.rows = rows,
                                               .columns = seen,
                                               .visible = (ptrdiff_t)(g->keys + 1) - (ptrdiff_t)g->queries,
                                               .causal = g->causal,
                                               .scale = (float)g->scale,
                                               .mask = mask,
                                               .scores = scores,
                                               .ld = keys};
        kernels->weigh(&stripe, scores, keys, maximum, sum, factor);
        for (size_t r = 0; r < rows; r++)
            for (size_t j = 0; j < seen; j++) panel[j * width + r] = scores[r * keys + j];
        memset(sums, 0, rows * ldsums * sizeof(float));
        for (size_t j = 0; j < seen; j += csimd_attention_few_keys) {
            const csimd_attention_few_values values = {
                .kernels = kernels,
                .type = g->type,
                .v = csimd_attention_at(g->type, g->v, element, key_head, j),
                .ldv = g->v.row_stride,
                .first = j,
                .count = csimd_minimum(csimd_attention_few_keys, seen - j),
                .size = g->head_size,
                .copy = copy,
            };
            csimd_attention_add_few_values(&values, &stripe, panel + j * width, sums, ldsums);
        }
        float *log_sum_exp = call->log_sum_exp + (element * g->heads + head) * g->queries;
        for (size_t r = 0; r < rows; r++) {
            factor[r] = sum[r] == 0 ? 0 : 1 / sum[r];
            log_sum_exp[r] = sum[r] == 0 ? INFINITY : maximum[r] + logf(sum[r]);
        }
        kernels->finish(g->type, rows, g->head_size, sums, ldsums, factor,
                        csimd_attention_at(g->type, call->o, element, head, 0), call->o.row_stride);
    }
}
