// Packing of gathered operands, included by each instruction set's file after gemm_pack_body.h: a row is put together from
// runs of elements that lie apart (a convolution's patch from the rows of an image) and is widened on its way, so that the
// matrix of patches never exists. Costs what packing a stored matrix costs while runs are whole vectors; a short run costs a
// vector's load and store. A last vector may write past its run: what it spoils is written after it, or is spare room.

V_INLINE void pack_a_gathered_of(csimd_type type, const void *x, const size_t *row_at, size_t rows, const csimd_gemm_run *runs,
                                 size_t run_count, float *packed) {
    for (size_t i = 0; i < rows; i++) {
        float *to = packed + i * A_ROW_STRIDE;
        for (size_t s = 0; s < run_count; s++) {
            widen_row(type, x, row_at[i] + runs[s].at, runs[s].length, to);
            to += runs[s].length;
        }
    }
}

V_INLINE void pack_b_gathered_of(csimd_type type, const void *x, const size_t *row_at, size_t depth, const csimd_gemm_run *runs,
                                 size_t columns, float *packed) {
    size_t done = 0;  // columns of the run at hand that earlier panels have
    for (size_t j = 0; j < columns; j += TILE_COLUMNS) {
        const size_t left = csimd_minimum(columns - j, TILE_COLUMNS), width = left > v_lanes ? TILE_COLUMNS : v_lanes;
        float *to = packed + j * depth;
        if (left == TILE_COLUMNS && runs->length - done >= TILE_COLUMNS) {
            const size_t at = runs->at + done;
            for (size_t p = 0; p < depth; p++, to += TILE_COLUMNS) {
                store_floats(to, load_some(type, x, row_at[p] + at, v_lanes));
                store_floats(to + v_lanes, load_some(type, x, row_at[p] + at + v_lanes, v_lanes));
            }
        } else {
            for (size_t p = 0; p < depth; p++, to += width) {
                const csimd_gemm_run *run = runs;
                for (size_t column = 0, from = done; column < left; run++, from = 0) {
                    const size_t count = csimd_minimum(run->length - from, left - column);
                    widen_row(type, x, row_at[p] + run->at + from, count, to + column);
                    column += count;
                }
            }
        }
        for (done += left; j + left < columns && done >= runs->length; runs++) done -= runs->length;
    }
}

static void pack_a_gathered(csimd_type type, const void *x, const size_t *row_at, size_t rows, const csimd_gemm_run *runs,
                            size_t run_count, float *packed) {
    if (type == CSIMD_F32) pack_a_gathered_of(CSIMD_F32, x, row_at, rows, runs, run_count, packed);
    if (type == CSIMD_F16) pack_a_gathered_of(CSIMD_F16, x, row_at, rows, runs, run_count, packed);
    if (type == CSIMD_BF16) pack_a_gathered_of(CSIMD_BF16, x, row_at, rows, runs, run_count, packed);
}

static void pack_b_gathered(csimd_type type, const void *x, const size_t *row_at, size_t depth, const csimd_gemm_run *runs,
                            size_t columns, float *packed) {
    if (type == CSIMD_F32) pack_b_gathered_of(CSIMD_F32, x, row_at, depth, runs, columns, packed);
    if (type == CSIMD_F16) pack_b_gathered_of(CSIMD_F16, x, row_at, depth, runs, columns, packed);
    if (type == CSIMD_BF16) pack_b_gathered_of(CSIMD_BF16, x, row_at, depth, runs, columns, packed);
}
