// The attention family's contract: what an instruction set supplies on top of the GEMM's packing and micro-kernels. The loops
// are in attention_forward.c and attention_backward.c.
//
// The floor. A visible pair of query and key costs, in multiply-adds with heads of D elements, 2 D forward (scores, weights by
// v) and 5 D backward (scores again, do by v, and the gradients of q, k and v), and one exponential each way. Zen 5 does 32
// multiply-adds a cycle in float32 and 64 by VDPBF16PS; an exponential is about 14 operations on 16 lanes, 0.5 cycles. D = 64:
//   float32   4 + 0.5 cycles forward, 10 + 0.5 backward;   bf16   2 + 0.5 forward, 5 + 0.5 backward
// and with rounding, masks and sums 3 to 5 operations a vector more. Context 1024, not causal, bf16: 1.05 M pairs, 8.4 M cycles
// a head forward and backward, 2.1 ms at 4 GHz. Memory is no bound: a block of 256 keys (K and V packed, 64 to 128 KiB) is read
// from L2 by each stripe of 14 queries, 9 to 18 bytes a cycle, and scores live in L1.
#ifndef CSIMD_ATTENTION_H
#define CSIMD_ATTENTION_H

#include "../gemm/gemm.h"

enum {
    csimd_attention_keys = 256,       // keys a block: scores of a stripe of queries and of these keys stay in L1
    csimd_attention_rows = 8,         // stripes of queries whose weights one product with their gradients sums up
    csimd_attention_few_queries = 4,  // so few queries read k and v where they lie
    csimd_attention_few_keys = 64,    // so many values at once
    csimd_attention_most_head_size = 512,
};

// Scores of `rows` queries and `columns` keys, and what becomes of them. Row r sees the keys below visible + r (causal) or all.
typedef struct {
    size_t rows, columns;
    ptrdiff_t visible;
    bool causal;
    float scale;
    const uint32_t *mask;  // [columns]: all bits, or 0 where the key is hidden; or NULL
    float *scores;         // [rows, columns], row stride ld, before `scale`
    size_t ld;
} csimd_attention_stripe;

typedef struct csimd_attention_kernels {
    const csimd_gemm_kernels *products;
    // products->multiply but that `depth` counts packed floats a row and that subnormal elements may count as zero: nothing
    // after the packed elements is read.
    void (*multiply)(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                     float *c, size_t ldc);
    bool rounds_weights;  // to bf16 pairs, as products->pairs

    // One block of keys in an online softmax. For each row with m' = max(maximum, scale scores) over the keys that it sees:
    // factor = exp(maximum - m'), weights = exp(scale scores - m'), 0 for the keys that it does not see (whatever their scores
    // are) and up to `columns` (rounded up to whole pairs), sum = sum factor + the weights' sum, maximum = m'. Weights lie as
    // the rows of A that `multiply` takes, row stride ldw; they may be the scores where they are not rounded.
    void (*weigh)(const csimd_attention_stripe *stripe, float *weights, size_t ldw, float *maximum, float *sum, float *factor);

    // For the queries of a stripe, the first being `row` of its block: weights p = exp(scale scores - log_sum_exp) and slopes
    // s = p (products - delta) scale, as panels of B (panel_stride floats each, width nr or at most nr / 2 where no more keys
    // are left of `keys`), and the slopes as rows of A too. Where a row does not see a key both are 0, whatever the other
    // numbers are, but for p where the mask hides the key: that may be anything. `row` is even; products have row stride ld.
    void (*slopes)(const csimd_attention_stripe *stripe, size_t keys, const float *products, const float *log_sum_exp,
                   const float *delta, size_t row, float *weight_panels, float *slope_panels, size_t panel_stride,
                   float *slope_rows, size_t ldr);

    // x[r, j] *= factor[r].
    void (*rescale)(size_t rows, size_t columns, float *x, size_t ldx, const float *factor);
    // y[r, j] = round(x[r, j] * factor[r]); factor NULL: 1.
    void (*finish)(csimd_type type, size_t rows, size_t columns, const float *x, size_t ldx, const float *factor, void *y,
                   size_t ldy);
    // dots[r] = sum_j a[r, j] b[r, j].
    void (*row_dots)(csimd_type type, size_t rows, size_t columns, const void *a, size_t lda, const void *b, size_t ldb,
                     float *dots);
    // Whether no x[r, j] is infinite or NaN.
    bool (*all_finite)(csimd_type type, size_t rows, size_t columns, const void *x, size_t ldx);
} csimd_attention_kernels;

extern const csimd_attention_kernels csimd_attention_kernels_ref;  // nothing in it: the formulas below
#if CSIMD_X86
extern const csimd_attention_kernels csimd_attention_kernels_avx2;
extern const csimd_attention_kernels csimd_attention_kernels_avx512;
extern const csimd_attention_kernels csimd_attention_kernels_avx512_bf16;
#endif

// The formulas in double for the query heads of one key head (forward, backward) of one element of the batch.
void csimd_attention_formula(const csimd_attention_args *args, csimd_heads o, void *log_sum_exp, size_t element,
                             size_t key_head);
void csimd_attention_gradient_formula(const csimd_attention_args *args, csimd_heads o, const void *log_sum_exp,
                                      csimd_heads o_gradient, csimd_heads q_gradient, csimd_heads k_gradient,
                                      csimd_heads v_gradient, size_t element, size_t key_head);

// Rows of k or v of one block of keys, packed as rows of B, for the sums over the keys that each query sees.
typedef struct {
    const csimd_attention_kernels *kernels;
    csimd_type type;
    const void *x;  // [keys, size], row stride ldx
    size_t ldx, keys, size;
    const uint32_t *mask;  // [keys]: as a stripe's
    bool finite;           // no element is infinite or NaN, or every query sees every key that the mask shows
    float *packed;
} csimd_attention_key_rows;

// Packs them, zeros in place of what the mask hides.
void csimd_attention_pack_key_rows(const csimd_attention_key_rows *rows);
// sums[r, d] = (add ? sums[r, d] : 0) + sum_j weights[r, j] x[j, d] over the keys j that row r of the stripe sees; weights as
// the rows of A that `multiply` takes, 0 for hidden keys.
void csimd_attention_sum_key_rows(const csimd_attention_key_rows *rows, const csimd_attention_stripe *stripe,
                                  const float *weights, bool add, float *sums, size_t ldsums);

// A few values where they lie: keys first ..< first + count of a stripe. `copy` has room for csimd_attention_few_keys of them.
typedef struct {
    const csimd_attention_kernels *kernels;
    csimd_type type;
    const void *v;  // of key `first`
    size_t ldv, first, count, size;
    void *copy;
} csimd_attention_few_values;

// sums[r, d] += sum_j weights[r, j] v[j, d] over the keys j that row r of the stripe sees; weights as a panel of A (a row a
// key), 0 for hidden keys.
void csimd_attention_add_few_values(const csimd_attention_few_values *values, const csimd_attention_stripe *stripe,
                                    const float *panel, float *sums, size_t ldsums);

// One call, as its tasks see it.
typedef struct {
    const csimd_attention_kernels *kernels;
    const csimd_attention_args *args;
    csimd_heads o, o_gradient, q_gradient, k_gradient, v_gradient;
    float *log_sum_exp;
    float *scratch;
    size_t scratch_floats;  // a worker
    size_t parts;           // that the queries of a key head's heads are cut into, forward
} csimd_attention_call;

size_t csimd_attention_forward_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *args);
void csimd_attention_forward_task(const csimd_attention_call *call, size_t element, size_t key_head, size_t part,
                                  float *scratch);
size_t csimd_attention_few_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *args);
void csimd_attention_few_task(const csimd_attention_call *call, size_t element, size_t key_head, float *scratch);
size_t csimd_attention_backward_floats(const csimd_attention_kernels *kernels, const csimd_attention_args *args);
void csimd_attention_backward_task(const csimd_attention_call *call, size_t element, size_t key_head, float *scratch);

// Row `row` of head `head` of element `element`.
static inline void *csimd_attention_at(csimd_type type, csimd_heads x, size_t element, size_t head, size_t row) {
    const size_t index = element * x.batch_stride + head * x.head_stride + row * x.row_stride;
    return (char *)(uintptr_t)x.base + index * csimd_type_size(type);
}

// Keys that query i sees.
static inline size_t csimd_attention_visible(const csimd_attention_args *args, size_t i) {
    if (!args->causal) return args->keys;
    const size_t seen = i + 1 + args->keys;
    return seen <= args->queries ? 0 : csimd_minimum(args->keys, seen - args->queries);
}

// Whether row r of a stripe sees its key j.
static inline bool csimd_attention_sees(const csimd_attention_stripe *stripe, size_t r, size_t j) {
    return (!stripe->causal || (ptrdiff_t)j < stripe->visible + (ptrdiff_t)r) && (stripe->mask == NULL || stripe->mask[j] != 0);
}

// Packed floats that `depth` elements take a row.
static inline size_t csimd_attention_packed(const csimd_attention_kernels *kernels, size_t depth) {
    return kernels->products->pairs ? (depth + 1) / 2 : depth;
}

// Width of the panel of B that begins at a column with `left` columns from there on.
static inline size_t csimd_attention_width(const csimd_attention_kernels *kernels, size_t left) {
    return left > kernels->products->nr / 2 ? kernels->products->nr : kernels->products->nr / 2;
}

// mask[j] = all bits or 0 for keys first ..< first + count of an element of the batch; NULL where there is no mask.
static inline const uint32_t *csimd_attention_mask(const csimd_attention_args *args, size_t element, size_t first, size_t count,
                                                   uint32_t *mask) {
    if (args->mask == NULL) return NULL;
    for (size_t j = 0; j < count; j++) mask[j] = args->mask[element * args->keys + first + j] ? UINT32_MAX : 0;
    return mask;
}

#endif
