// One key head's share of the gradients. Blocks of keys outside, blocks of queries inside: the gradients of k and v of a block
// stay in L2, transposed ([head_size, keys]) so that weights and slopes enter their products as panels of B, in which form they
// are made from scores; slopes enter the product with K as rows of A.
#include "attention.h"

static inline size_t divide_up(size_t a, size_t b) { return (a + b - 1) / b; }

typedef struct {
    float *key_panels, *value_panels, *key_rows;  // K^T, V^T [size, keys] and K [keys, size] of a block, packed
    float *mask;
    float *queries, *gradients, *slope_rows;   // a stripe's rows of A
    float *queries_turned, *gradients_turned;  // a block's panels of A
    float *scores, *products;                  // [mr, keys]
    float *weight_panels, *slope_panels;       // [rows of a block, keys]
    float *turned;                             // [keys, nr]
    float *q_sums, *k_sums, *v_sums;           // [queries, ldq]; of each block [size, keys]
    float *delta;                              // [queries]
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
    b.mask = take(&b, scratch, keys);
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

// sums[size, keys] += turned^T panels, each panel from the first stripe on that reaches it.
static void add_to_keys(const place *at, const float *turned, const float *panels, float *sums) {
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
        const float *b = panels + j / p->nr * at->b.panel_stride + skipped * csimd_attention_width(kernels, at->keys - j);
        const float *a = turned + skipped * p->a_panel_width;
        for (size_t i = 0, height; i < g->head_size; i += height, a += panel_depth * p->a_panel_width) {
            height = csimd_gemm_next_height(g->head_size - i, p->mr);
            kernels->multiply(height, columns, depth - skipped, a, true, b, true, sums + i * csimd_attention_keys + j,
                              csimd_attention_keys);
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
    for (size_t j = 0; j < size; j += p->nr)
        kernels->multiply(rows, csimd_minimum(p->nr, size - j), csimd_attention_packed(kernels, columns), b->slope_rows, false,
                          b->key_rows + j * csimd_gemm_packed_depth(p, at->keys), true, b->q_sums + query * b->ldq + j, b->ldq);
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
    p->pack_b_rows(g->type, k, g->k.row_stride, at->keys, g->head_size, b->key_rows);
    csimd_attention_mask(g, at->element, at->start, at->keys, b->mask);
    const size_t most = block_rows(call->kernels);
    for (at->first = 0; at->first < g->queries; at->first += most) {
        at->rows = csimd_minimum(most, g->queries - at->first);
        if (csimd_attention_visible(g, at->first + at->rows - 1) <= at->start) continue;
        const void *q = csimd_attention_at(g->type, g->q, at->element, at->head, at->first);
        const void *dy = csimd_attention_at(g->type, call->o_gradient, at->element, at->head, at->first);
        p->pack_a_panels(g->type, q, g->q.row_stride, g->head_size, at->rows, b->queries_turned);
        p->pack_a_panels(g->type, dy, call->o_gradient.row_stride, g->head_size, at->rows, b->gradients_turned);
        for (size_t row = 0; row < at->rows; row += p->mr) run_stripe(at, row, csimd_minimum(p->mr, at->rows - row));
        add_to_keys(at, b->gradients_turned, b->weight_panels, b->v_sums + at->block * b->block_sums);
        add_to_keys(at, b->queries_turned, b->slope_panels, b->k_sums + at->block * b->block_sums);
    }
}

// sums [size, keys] of each block of keys, turned round and rounded.
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
    }
}

void csimd_attention_backward_task(const csimd_attention_call *call, size_t element, size_t key_head, float *scratch) {
    const csimd_attention_args *g = call->args;
    const csimd_attention_kernels *kernels = call->kernels;
    place at = {.call = call, .b = buffers_in(kernels, g, scratch), .element = element};
    const backward_buffers *b = &at.b;
    const size_t blocks = divide_up(g->keys, csimd_attention_keys), group = g->heads / g->key_heads;
    memset(b->k_sums, 0, blocks * b->block_sums * sizeof(float));
    memset(b->v_sums, 0, blocks * b->block_sums * sizeof(float));
    for (at.head = key_head * group; at.head < (key_head + 1) * group; at.head++) {
        memset(b->q_sums, 0, g->queries * b->ldq * sizeof(float));
        if (g->queries > 0)
            kernels->row_dots(g->type, g->queries, g->head_size, csimd_attention_at(g->type, call->o, element, at.head, 0),
                              call->o.row_stride, csimd_attention_at(g->type, call->o_gradient, element, at.head, 0),
                              call->o_gradient.row_stride, b->delta);
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
