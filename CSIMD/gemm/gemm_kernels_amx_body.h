// The members of the AMX kernels, the instruction's and the emulation's. Packing is but for A transposed that of the vector
// instruction, few rows are its dot products, and the finishing pass is its own.
.mr = AMX_ROWS, .narrow_mr = AMX_ROWS, .nr = TILE_COLUMNS, .kc = DEPTH, .mc = 5 * AMX_ROWS, .nc = 512,
    .a_row_stride = A_ROW_STRIDE, .a_panel_width = v_lanes, .pairs = true, .a_in_rows = true, .pack_a_rows = pack_a_rows,
    .pack_a_panels = pack_a_turned, .pack_b_rows = pack_b_rows, .pack_b_columns = pack_b_columns, .multiply = multiply,
    .finish = csimd_gemm_finish_avx512_bf16, .few_dot_rows = SKINNY_ROWS, .dot_few = csimd_gemm_dot_avx512_bf16,
    .turn = csimd_gemm_turn_avx512,
