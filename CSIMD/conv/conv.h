// The convolution family: where the patches of an image lie, and in which units they are worked on. The arithmetic is the
// GEMM's: its packing gathers patches (gemm.h), its micro-kernels multiply, its finishing pass writes.
#ifndef CSIMD_CONV_H
#define CSIMD_CONV_H

#include "../gemm/gemm.h"

// An element of a window: source pixels down and to the right of the window's origin.
typedef struct {
    size_t y, x;
} csimd_conv_tap;

// A grid of windows over channels-last images. Window (i, j) begins at source pixel (top + i step_y, left + j step_x), which
// may lie outside the image, where all is zero. A patch is a window's taps one after the other, each with `group_channels`
// channels.
typedef struct {
    csimd_type type;
    const void *x;
    size_t images, height, width, channels, group_channels;
    ptrdiff_t top, left;
    size_t step_y, step_x, rows, columns;
    const csimd_conv_tap *taps;  // ascending by y, then x
    size_t tap_count;
} csimd_conv_windows;

// The windows are worked on in units: some small images, or a band of rows of a large one. A unit whose windows leave the
// image, or any of the call's, is copied with zeros around it: a copy that stays in L2. Units depend on the shape only.
typedef struct {
    size_t count, images, bands, band_rows;
    size_t padded_height, padded_width;
    bool in_place;
    size_t row_pixels;    // from one source row to the next, where units are read
    size_t padded_bytes;  // of a worker's copy
    size_t most_windows;
} csimd_conv_units;
csimd_conv_units csimd_conv_cut(const csimd_conv_windows *windows);

// One unit ready to be gathered: its windows are counted image by image, row by row.
typedef struct {
    const void *x;  // pixel (0, 0) of its first window
    size_t first_image, images, first_row, rows;
    size_t image_elements, row_elements, step_elements;  // from a window to the next image's, row's, column's
} csimd_conv_unit;
csimd_conv_unit csimd_conv_open(const csimd_conv_windows *windows, const csimd_conv_units *units, size_t index, void *copy);

// row_at[w - first] for windows first ..< first + count of a unit.
void csimd_conv_locate(const csimd_conv_windows *windows, const csimd_conv_unit *unit, size_t first, size_t count,
                       size_t *row_at);

// The runs that elements first ..< first + count of a patch consist of, at most one a tap; returns how many.
size_t csimd_conv_runs(const csimd_conv_windows *windows, size_t row_pixels, size_t first, size_t count, csimd_gemm_run *runs);

// Blocks of a sum of `depth` terms: equal but for the last.
static inline size_t csimd_conv_block_depth(const csimd_gemm_kernels *kernels, size_t depth) {
    const size_t blocks = (depth + kernels->kc - 1) / kernels->kc;
    return blocks <= 1 ? depth : csimd_round_up((depth + blocks - 1) / blocks, 32);
}

// The kernels for two operand types; those of the row itself where the chosen ones cannot gather.
const csimd_gemm_kernels *csimd_conv_kernels(csimd_type a, csimd_type b);

bool csimd_conv_shape_is_valid(const csimd_conv_shape *shape);

// The formulas, element by element, sums in float64; for the row "ref" and for f64.
void csimd_conv_formula(const csimd_conv_args *args);
void csimd_conv_input_gradient_formula(const csimd_conv_args *args);
void csimd_conv_weight_gradient_formula(const csimd_conv_shape *shape, csimd_type dy_type, const void *dy, csimd_type x_type,
                                        const void *x, bool accumulate, csimd_type dw_type, void *dw);

// Address of element `index` of an array that is written.
static inline void *csimd_conv_at(csimd_type type, void *y, size_t index) {
    return y == NULL ? NULL : (char *)y + index * csimd_type_size(type);
}

#endif
