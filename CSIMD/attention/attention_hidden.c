// Sums over keys of which a query sees some: a hidden key's weight is 0, but 0 times an infinite or NaN element is NaN. What
// the mask hides is packed as zeros. Under a causal mask a key is hidden from some queries and seen by others: in a stripe of
// queries that is true of as many keys as it has rows. Their non-finite elements, if there are any, are zeros while the stripe
// is multiplied, and are then added to the rows that see them. Finite elements are summed alike in either case.
#include "attention.h"

#include "../support/scalar16.h"

// The panel of packed rows of B that has column `first`, and how wide it is.
static float *panel_at(const csimd_attention_key_rows *rows, size_t first, size_t *width) {
    *width = csimd_attention_width(rows->kernels, rows->size - first);
    return rows->packed + first * csimd_gemm_packed_depth(rows->kernels->products, rows->keys);
}

static void clear_row(const csimd_attention_key_rows *rows, size_t j) {
    const csimd_gemm_kernels *products = rows->kernels->products;
    for (size_t first = 0, width; first < rows->size; first += products->nr) {
        float *panel = panel_at(rows, first, &width);
        if (!products->pairs) {
            memset(panel + j * width, 0, width * sizeof(float));
            continue;
        }
        uint16_t *pairs = (uint16_t *)(void *)(panel + j / 2 * width);
        for (size_t column = 0; column < width; column++) pairs[2 * column + j % 2] = 0;
    }
}

static void put(const csimd_attention_key_rows *rows, size_t j, size_t d, float value) {
    const csimd_gemm_kernels *products = rows->kernels->products;
    const size_t first = d / products->nr * products->nr;
    size_t width;
    float *panel = panel_at(rows, first, &width);
    if (products->pairs)
        csimd_store_f32(CSIMD_BF16, panel + j / 2 * width + d - first, j % 2, value);
    else
        panel[j * width + d - first] = value;
}

void csimd_attention_pack_key_rows(const csimd_attention_key_rows *rows) {
    rows->kernels->products->pack_b_rows(rows->type, rows->x, rows->ldx, rows->keys, rows->size, rows->packed);
    if (rows->mask == NULL) return;
    for (size_t j = 0; j < rows->keys; j++)
        if (rows->mask[j] == 0) clear_row(rows, j);
}

// Keys whose non-finite elements not all rows of a stripe see, of those that are packed.
typedef struct {
    size_t first, last;
} key_range;

static key_range keys_in_question(const csimd_attention_key_rows *rows, const csimd_attention_stripe *stripe) {
    const key_range none = {0, 0};
    if (rows->finite || !stripe->causal) return none;
    const size_t first = stripe->visible < 0 ? 0 : csimd_minimum((size_t)stripe->visible, stripe->columns);
    const size_t whole = rows->kernels->products->pairs ? csimd_round_up(stripe->columns, 2) : stripe->columns;
    const key_range range = {first, csimd_minimum(whole, rows->keys)};
    const void *x = csimd_gemm_at(rows->type, rows->x, first * rows->ldx);
    return rows->kernels->all_finite(rows->type, range.last - first, rows->size, x, rows->ldx) ? none : range;
}

// What is packed of their non-finite elements: zeros, or the elements again.
static void pack_non_finite(const csimd_attention_key_rows *rows, key_range range, bool as_zeros) {
    for (size_t j = range.first; j < range.last; j++) {
        if (rows->mask != NULL && rows->mask[j] == 0) continue;
        for (size_t d = 0; d < rows->size; d++) {
            const float value = csimd_load_f32(rows->type, rows->x, j * rows->ldx + d);
            if (!isfinite(value)) put(rows, j, d, as_zeros ? 0 : value);
        }
    }
}

// x[j, d] for one d by the weights of the rows that see key j.
static void add_element(const csimd_attention_key_rows *rows, const csimd_attention_stripe *stripe, const float *weights,
                        size_t j, float value, float *sums, size_t ldsums) {
    const csimd_gemm_kernels *products = rows->kernels->products;
    for (size_t r = 0; r < stripe->rows; r++) {
        if (!csimd_attention_sees(stripe, r, j)) continue;
        const float *row = weights + r * products->a_row_stride;
        sums[r * ldsums] += (products->pairs ? csimd_load_f32(CSIMD_BF16, row, j) : row[j]) * value;
    }
}

static void add_non_finite(const csimd_attention_key_rows *rows, const csimd_attention_stripe *stripe, key_range range,
                           const float *weights, float *sums, size_t ldsums) {
    for (size_t j = range.first; j < csimd_minimum(range.last, stripe->columns); j++)
        for (size_t d = 0; d < rows->size; d++) {
            const float value = csimd_load_f32(rows->type, rows->x, j * rows->ldx + d);
            if (!isfinite(value)) add_element(rows, stripe, weights, j, value, sums + d, ldsums);
        }
}

void csimd_attention_sum_key_rows(const csimd_attention_key_rows *rows, const csimd_attention_stripe *stripe,
                                  const float *weights, bool add, float *sums, size_t ldsums) {
    const csimd_attention_kernels *kernels = rows->kernels;
    const size_t nr = kernels->products->nr, depth = csimd_attention_packed(kernels, stripe->columns);
    const key_range range = keys_in_question(rows, stripe);
    pack_non_finite(rows, range, true);
    for (size_t d = 0; d < rows->size; d += nr)
        kernels->multiply(stripe->rows, csimd_minimum(nr, rows->size - d), depth, weights, false,
                          rows->packed + d * csimd_gemm_packed_depth(kernels->products, rows->keys), add, sums + d, ldsums);
    add_non_finite(rows, stripe, range, weights, sums, ldsums);
    pack_non_finite(rows, range, false);
}

// Whether any row of a stripe sees a key, and whether all do.
static bool is_seen(const csimd_attention_stripe *stripe, size_t j) {
    return csimd_attention_sees(stripe, stripe->rows - 1, j);
}
static bool is_seen_by_all(const csimd_attention_stripe *stripe, size_t j) { return csimd_attention_sees(stripe, 0, j); }

// Rows of values with zeros where no row of the stripe sees the key, and for non-finite elements where not all do.
static void copy_values(const csimd_attention_few_values *values, const csimd_attention_stripe *stripe) {
    const size_t bytes = values->size * csimd_type_size(values->type);
    for (size_t j = 0; j < values->count; j++) {
        char *row = (char *)values->copy + j * bytes;
        if (!is_seen(stripe, values->first + j)) {
            memset(row, 0, bytes);
            continue;
        }
        memcpy(row, csimd_gemm_at(values->type, values->v, j * values->ldv), bytes);
        if (is_seen_by_all(stripe, values->first + j)) continue;
        for (size_t d = 0; d < values->size; d++)
            if (!isfinite(csimd_load_f32(values->type, row, d))) csimd_store_f32(values->type, row, d, 0);
    }
}

static void add_non_finite_values(const csimd_attention_few_values *values, const csimd_attention_stripe *stripe,
                                  const float *panel, float *sums, size_t ldsums) {
    const size_t width = values->kernels->products->a_panel_width;
    for (size_t j = 0; j < values->count; j++) {
        const size_t key = values->first + j;
        if (!is_seen(stripe, key) || is_seen_by_all(stripe, key)) continue;
        for (size_t d = 0; d < values->size; d++) {
            const float value = csimd_load_f32(values->type, values->v, j * values->ldv + d);
            for (size_t r = 0; r < stripe->rows && !isfinite(value); r++)
                if (csimd_attention_sees(stripe, r, key)) sums[r * ldsums + d] += panel[j * width + r] * value;
        }
    }
}

void csimd_attention_add_few_values(const csimd_attention_few_values *values, const csimd_attention_stripe *stripe,
                                    const float *panel, float *sums, size_t ldsums) {
    const csimd_gemm_kernels *products = values->kernels->products;
    const size_t end = values->first + values->count;
    size_t seen = values->count, seen_by_all = values->count;
    if (stripe->mask != NULL || (stripe->causal && (ptrdiff_t)end > stripe->visible)) {
        seen = seen_by_all = 0;
        for (size_t j = values->first; j < end; j++) {
            seen += is_seen(stripe, j);
            seen_by_all += is_seen_by_all(stripe, j);
        }
    }
    if (seen == 0) return;
    if (seen_by_all == values->count) {
        products->multiply_few(values->type, stripe->rows, values->size, values->count, panel, values->v, values->ldv, true,
                               sums, ldsums);
        return;
    }
    copy_values(values, stripe);
    products->multiply_few(values->type, stripe->rows, values->size, values->count, panel, values->copy, values->size, true,
                           sums, ldsums);
    add_non_finite_values(values, stripe, panel, sums, ldsums);
}
