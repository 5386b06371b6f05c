// The members of the kernels of float16 chunks, the instruction's and the emulation's.
.mr = TILE_ROWS, .narrow_mr = NARROW_TILE_ROWS, .nr = TILE_H_COLUMNS, .kc = DEPTH, .mc = 140, .nc = 512,
    .a_row_stride = A_ROW_STRIDE, .a_panel_width = v_lanes, .pairs = true, .pack_a_rows = pack_a_rows,
    .pack_a_panels = pack_a_panels, .pack_b_rows = pack_b_rows, .pack_b_columns = pack_b_columns, .multiply = multiply_tile,
    .finish = csimd_gemm_finish_avx512,
