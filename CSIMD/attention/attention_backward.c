// One key head's share of the gradients. Blocks of keys outside, blocks of queries inside: the gradients of k and v of a block
// stay in L2, transposed ([head_size, keys]) so that weights and slopes enter their products as panels of B, in which form they
// are made from scores; slopes enter the product with K as rows of A.
#include "attention.h"

#include "../support/scalar16.h"

static inline size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

typedef struct {
    float *key_panels, *value_panels, *key_rows;  // K^T, V^T [size, keys] and K [keys, size] of a block, packed
    uint32_t *mask;
    float *queries, *gradients, *slope_rows;             // a stripe's rows of A
    float *queries_turned, *gradients_turned;            // a block's panels of A
    float *scores, *products;                            // [mr, keys]
    float *weight_panels, *slope_panels;                 // [rows of a block, keys]
    float *turned;                                       // [keys, nr]
    float *q_sums, *k_sums, *v_sums;                     // [queries, ldq]; of each block [size, keys]
    float *delta;                                        // [queries]
    bool keys_finite, queries_finite, gradients_finite;  // or of no concern: every query sees what the mask shows
    size_t ldq, panel_stride, turned_floats, floats, block_sums;
} backward_buffers;

static size_t block_rows(const csimd_attention_kernels *kernels) { return csimd_attention_rows * kernels->products->mr; }

static float *take(backward_buffers *b, float *scratch, size_t floats) {
    float *taken = scratch == NULL ? NULL : scratch + b->floats;
    b->floats += csimd_round_up(floats, 16);
    return taken;
}

static backward_buffers buffers_in(const csimd_attention_kernels *kernels, const csimd_attention_args *g, float *scratch) {
    const csimd_gemm_kernels *p = kernels->products;
    const size_t keys = csimd_attention_keys, blocks = divide_up(g->keys, keys), size = g->head_size;
    const size_t rows = block_rows(kernels), stripe = p->mr * p->a_row_stride, tiles = divide_up(size, p->mr);
    backward_buffers b = {.ldq = csimd_round_up(size, p->nr), .panel_stride = rows * p->nr};
    b.block_sums = size * keys;
    b.key_panels = take(&b, scratch, csimd_round_up(keys, p->nr) * csimd_gemm_packed_depth(p, size));
    b.value_panels = take(&b, scratch, csimd_round_up(keys, p->nr) * csimd_gemm_packed_depth(p, size));
    b.key_rows = take(&b, scratch, b.ldq * csimd_gemm_packed_depth(p, keys));
    b.mask = (uint32_t *)(void *)take(&b, scratch, keys);
    b.queries = take(&b, scratch, stripe);
    b.gradients = take(&b, scratch, stripe);
    b.slope_rows = take(&b, scratch, stripe);
    b.queries_turned = take(&b, scratch, tiles * csimd_gemm_packed_depth(p, rows) * p->a_panel_width);
    b.gradients_turned = take(&b, scratch, tiles * csimd_gemm_packed_depth(p, rows) * p->a_panel_width);
    b.scores = take(&b, scratch, p->mr * keys);
    b.products = take(&b, scratch, p->mr * keys);
    b.weight_panels = take(&b, scratch, divide_up(keys, p->nr) * b.panel_stride);
    b.slope_panels = take(&b, scratch, divide_up(keys, p->nr) * b.panel_stride);
    b.turned = take(&b, scratch, keys * p->nr);
    b.q_sums = take(&b, scratch, g->queries * b.ldq);
    b.k_sums = take(&b, scratch, blocks * b.block_sums);
    b.v_sums = take(&b, scratch, blocks * b.block_sums);
    b.delta = take(&b, scratch, g->queries);
    return b;
}

size_t csimd_attention_backward_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *g) {
    return buffers_in(kernels, g, NULL).floats;
}

// Where a task is: a head, a block of keys, a block of queries.
typedef struct {
    const csimd_attention_call *call;
    backward_buffers b;
    size_t element, head;
    size_t start, keys, block;  // the block of keys
    size_t first, rows;         // the block of queries
} place;

// The keys of a block for the product with the slopes.
static csimd_attention_key_rows keys_of(const place *at) {
    const csimd_attention_args *g = at->call->args;
    return (csimd_attention_key_rows){
        .kernels = at->call->kernels,
        .type = g->type,
        .x = csimd_attention_at(g->type, g->k, at->element, at->head / (g->heads / g->key_heads), at->start),
        .ldx = g->k.row_stride,
        .keys = at->keys,
        .size = g->head_size,
        .mask = g->mask == NULL ? NULL : at->b.mask,
        .finite = at->b.keys_finite,
        .packed = at->b.key_rows,
    };
}

// Queries of a block whose non-finite elements not all keys of a panel see.
typedef struct {
    size_t first, last;
} query_range;

// Of those from `row` on, in products with keys up to start + end.
static query_range queries_in_question(const place *at, csimd_heads x, bool finite, size_t row, size_t end) {
    const csimd_attention_args *g = at->call->args;
    query_range range = {row, row};
    if (finite) return range;
    while (range.last < at->rows && csimd_attention_visible(g, at->first + range.last) < at->start + end) range.last++;
    const void *rows = csimd_attention_at(g->type, x, at->element, at->head, at->first + row);
    if (at->call->kernels->all_finite(g->type, range.last - row, g->head_size, rows, x.row_stride)) range.last = row;
    return range;
}

// What is packed of their non-finite elements first ..< first + height, in a panel of A: zeros, or the elements again.
static void pack_non_finite(const place *at, csimd_heads x, query_range range, size_t first, size_t height, float *panel,
                            bool as_zeros) {
    const csimd_attention_args *g = at->call->args;
    const csimd_gemm_kernels *p = at->call->kernels->products;
    for (size_t r = range.first; r < range.last; r++) {
        const void *row = csimd_attention_at(g->type, x, at->element, at->head, at->first + r);
        for (size_t d = first; d < first + height; d++) {
            const float value = csimd_load_f32(g->type, row, d), put = as_zeros ? 0 : value;
            if (isfinite(value)) continue;
            if (p->pairs)
                csimd_store_f32(CSIMD_BF16, panel + r / 2 * p->a_panel_width + d - first, r % 2, put);
            else
                panel[r * p->a_panel_width + d - first] = put;
        }
    }
}

// The same elements by the weights or slopes in a panel of keys `key` ..< key + columns, to the keys that the queries see.
static void add_non_finite(const place *at, csimd_heads x, query_range range, size_t first, size_t height, size_t key,
                           size_t columns, const float *panel, float *sums) {
    const csimd_attention_args *g = at->call->args;
    const bool pairs = at->call->kernels->products->pairs;
    const size_t width = csimd_attention_width(at->call->kernels, at->keys - key);
    for (size_t r = range.first; r < range.last; r++) {
        const void *row = csimd_attention_at(g->type, x, at->element, at->head, at->first + r);
        const size_t visible = csimd_attention_visible(g, at->first + r);
        for (size_t d = first; d < first + height; d++) {
            const float value = csimd_load_f32(g->type, row, d);
            for (size_t c = 0; c < columns && at->start + key + c < visible && !isfinite(value); c++) {
                const float factor =
                    pairs ? csimd_load_f32(CSIMD_BF16, panel + r / 2 * width + c, r % 2) : panel[r * width + c];
                sums[(d - first) * csimd_attention_keys + c] += factor * value;
            }
        }
    }
}

// sums[size, keys] += turned^T panels, each panel from the first stripe on that reaches it; x are the rows that were turned.
static void add_to_keys(const place *at, csimd_heads x, bool finite, float *turned, const float *panels, float *sums) {
    const csimd_attention_args *g = at->call->args;
    const csimd_attention_kernels *kernels = at->call->kernels;
    const csimd_gemm_kernels *p = kernels->products;
    const size_t depth = csimd_attention_packed(kernels, at->rows), panel_depth = csimd_gemm_packed_depth(p, at->rows);
    for (size_t j = 0; j < at->keys; j += p->nr) {
        size_t row = 0;  // below: no query sees key start + j
        while (row < at->rows &&
               csimd_attention_visible(g, at->first + csimd_minimum(row + p->mr, at->rows) - 1) <= at->start + j)
            row += p->mr;
        if (row >= at->rows) break;
        const size_t skipped = csimd_attention_packed(kernels, row), columns = csimd_minimum(p->nr, at->keys - j);
        const float *b = panels + j / p->nr * at->b.panel_stride;
        const float *from = b + skipped * csimd_attention_width(kernels, at->keys - j);
        const query_range range = queries_in_question(at, x, finite, row, j + columns);
        float *a = turned;
        for (size_t i = 0, height; i < g->head_size; i += height, a += panel_depth * p->a_panel_width) {
            height = csimd_gemm_next_height(g->head_size - i, p->mr);
            float *to = sums + i * csimd_attention_keys + j;
            pack_non_finite(at, x, range, i, height, a, true);
            kernels->multiply(height, columns, depth - skipped, a + skipped * p->a_panel_width, true, from, true, to,
                              csimd_attention_keys);
            add_non_finite(at, x, range, i, height, j, columns, b, to);
            pack_non_finite(at, x, range, i, height, a, false);
        }
    }
}

static void run_stripe(const place *at, size_t row, size_t rows) {
    const csimd_attention_args *g = at->call->args;
    const csimd_attention_kernels *kernels = at->call->kernels;
    const csimd_gemm_kernels *p = kernels->products;
    const backward_buffers *b = &at->b;
    const size_t query = at->first + row, size = g->head_size, seen = csimd_attention_visible(g, query + rows - 1);
    if (seen <= at->start) return;
    const size_t columns = csimd_minimum(at->keys, seen - at->start), ld = csimd_attention_keys;
    p->pack_a_rows(g->type, csimd_attention_at(g->type, g->q, at->element, at->head, query), g->q.row_stride, rows, size,
                   b->queries);
    p->pack_a_rows(g->type, csimd_attention_at(g->type, at->call->o_gradient, at->element, at->head, query),
                   at->call->o_gradient.row_stride, rows, size, b->gradients);
    for (size_t j = 0; j < columns; j += p->nr) {
        const size_t width = csimd_minimum(p->nr, at->keys - j), depth = csimd_attention_packed(kernels, size);
        const size_t panel = j * csimd_gemm_packed_depth(p, size);
        kernels->multiply(rows, width, depth, b->queries, false, b->key_panels + panel, false, b->scores + j, ld);
        kernels->multiply(rows, width, depth, b->gradients, false, b->value_panels + panel, false, b->products + j, ld);
    }
    const csimd_attention_stripe stripe = {
        .rows = rows,
        .columns = columns,
        .visible = (ptrdiff_t)(g->keys + query + 1) - (ptrdiff_t)(g->queries + at->start),
        .causal = g->causal,
        .scale = (float)g->scale,
        .mask = g->mask == NULL ? NULL : b->mask,
        .scores = b->scores,
        .ld = ld,
    };
    kernels->slopes(&stripe, at->keys, b->products,
                    at->call->log_sum_exp + (at->element * g->heads + at->head) * g->queries + query, b->delta + query, row,
                    b->weight_panels, b->slope_panels, b->panel_stride, b->slope_rows, p->a_row_stride);
    const csimd_attention_key_rows keys = keys_of(at);
    csimd_attention_sum_key_rows(&keys, &stripe, b->slope_rows, true, b->q_sums + query * b->ldq, b->ldq);
}

static void run_block(place *at, size_t key_head) {
    const csimd_attention_call *call = at->call;
    const csimd_attention_args *g = call->args;
    const csimd_gemm_kernels *p = call->kernels->products;
    const backward_buffers *b = &at->b;
    const void *k = csimd_attention_at(g->type, g->k, at->element, key_head, at->start);
    const void *v = csimd_attention_at(g->type, g->v, at->element, key_head, at->start);
    p->pack_b_columns(g->type, k, g->k.row_stride, g->head_size, at->keys, b->key_panels);
    p->pack_b_columns(g->type, v, g->v.row_stride, g->head_size, at->keys, b->value_panels);
    csimd_attention_mask(g, at->element, at->start, at->keys, b->mask);
    const csimd_attention_key_rows keys = keys_of(at);
    csimd_attention_pack_key_rows(&keys);
    const size_t most = block_rows(call->kernels);
    for (at->first = 0; at->first < g->queries; at->first += most) {
        at->rows = csimd_minimum(most, g->queries - at->first);
        if (csimd_attention_visible(g, at->first + at->rows - 1) <= at->start) continue;
        const void *q = csimd_attention_at(g->type, g->q, at->element, at->head, at->first);
        const void *dy = csimd_attention_at(g->type, call->o_gradient, at->element, at->head, at->first);
        p->pack_a_panels(g->type, q, g->q.row_stride, g->head_size, at->rows, b->queries_turned);
        p->pack_a_panels(g->type, dy, call->o_gradient.row_stride, g->head_size, at->rows, b->gradients_turned);
        for (size_t row = 0; row < at->rows; row += p->mr) run_stripe(at, row, csimd_minimum(p->mr, at->rows - row));
        add_to_keys(at, call->o_gradient, b->gradients_finite, b->gradients_turned, b->weight_panels,
                    b->v_sums + at->block * b->block_sums);
        add_to_keys(at, g->q, b->queries_finite, b->queries_turned, b->slope_panels, b->k_sums + at->block * b->block_sums);
    }
}

// sums [size, keys] of each block of keys, turned round and rounded. Those of keys that the mask hides are zeros, whatever the
// queries that do not see them are.
static void store_keys(const csimd_attention_call *call, const backward_buffers *b, const float *sums, csimd_heads y,
                       size_t element, size_t key_head) {
    const csimd_attention_args *g = call->args;
    const csimd_attention_kernels *kernels = call->kernels;
    const csimd_gemm_kernels *p = kernels->products;
    for (size_t start = 0; start < g->keys; start += csimd_attention_keys, sums += b->block_sums) {
        const size_t keys = csimd_minimum(csimd_attention_keys, g->keys - start);
        char *row = csimd_attention_at(g->type, y, element, key_head, start);
        for (size_t j = 0; j < g->head_size; j += p->nr) {
            const size_t columns = csimd_minimum(p->nr, g->head_size - j);
            p->turn(sums + j * csimd_attention_keys, csimd_attention_keys, keys, columns, b->turned);
            kernels->finish(g->type, keys, columns, b->turned, csimd_attention_width(kernels, columns), NULL,
                            row + j * csimd_type_size(g->type), y.row_stride);
        }
        for (size_t j = 0; j < keys && g->mask != NULL; j++)
            if (g->mask[element * g->keys + start + j] == 0)
                memset(csimd_attention_at(g->type, y, element, key_head, start + j), 0,
                       g->head_size * csimd_type_size(g->type));
    }
}

// Whether none of the numbers of a head's queries is infinite or NaN.
static bool numbers_finite(const csimd_attention_call *call, const float *numbers) {
    return call->kernels->all_finite(CSIMD_F32, 1, call->args->queries, numbers, call->args->queries);
}

void csimd_attention_backward_task(const csimd_attention_call *call, size_t element, size_t key_head, float *scratch) {
    const csimd_attention_args *g = call->args;
    const csimd_attention_kernels *kernels = call->kernels;
    place at = {.call = call, .b = buffers_in(kernels, g, scratch), .element = element};
    backward_buffers *b = &at.b;
    const size_t blocks = divide_up(g->keys, csimd_attention_keys), group = g->heads / g->key_heads;
    memset(b->k_sums, 0, blocks * b->block_sums * sizeof(float));
    memset(b->v_sums, 0, blocks * b->block_sums * sizeof(float));
    b->keys_finite =
        !g->causal || call->kernels->all_finite(g->type, g->keys, g->head_size,
                                                csimd_attention_at(g->type, g->k, element, key_head, 0), g->k.row_stride);
    for (at.head = key_head * group; at.head < (key_head + 1) * group; at.head++) {
        memset(b->q_sums, 0, g->queries * b->ldq * sizeof(float));
        if (g->queries > 0)
            kernels->row_dots(g->type, g->queries, g->head_size, csimd_attention_at(g->type, call->o, element, at.head, 0),
                              call->o.row_stride, csimd_attention_at(g->type, call->o_gradient, element, at.head, 0),
                              call->o_gradient.row_stride, b->delta);
        // An infinite or NaN element makes the numbers that the query has so too, whatever it sees.
        const float *log_sum_exp = call->log_sum_exp + (element * g->heads + at.head) * g->queries;
        b->queries_finite = !g->causal || numbers_finite(call, log_sum_exp);
        b->gradients_finite = !g->causal || numbers_finite(call, b->delta);
        for (at.start = 0, at.block = 0; at.start < g->keys; at.start += csimd_attention_keys, at.block++) {
            at.keys = csimd_minimum(csimd_attention_keys, g->keys - at.start);
            run_block(&at, key_head);
        }
        if (g->queries > 0)
            kernels->finish(g->type, g->queries, g->head_size, b->q_sums, b->ldq, NULL,
                            csimd_attention_at(g->type, call->q_gradient, element, at.head, 0), call->q_gradient.row_stride);
    }
    store_keys(call, b, b->k_sums, call->k_gradient, element, key_head);
    store_keys(call, b, b->v_sums, call->v_gradient, element, key_head);
}
