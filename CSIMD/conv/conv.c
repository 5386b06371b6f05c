// Convolution and its transpose: both multiply patches by a matrix made of the weights. The transpose's patches are taken from
// dy; with strides it falls apart into one such product for each position of a pixel relative to the strides (a phase), so
// that no zero between the elements of dy is multiplied.
//
// A unit of windows is brought into L2 with zeros around it. A tile's patches are gathered into the GEMM's packed rows, in L1,
// and go past all weights, packed once a call, as long as those stay in L2; else blocks of patches go past a panel of weights.
// For 3x3 kernels with 64 channels on both sides a patch of 576 costs 36 vectors read and written (18 of bf16 pairs) against
// 2,304 vector multiply-adds (1,152).
#include "conv.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scratch.h"

#include <stdlib.h>

enum {
    MOST_BLOCK_ROWS = 512,         // no row's mc is more
    TILE_LIMIT = 32 * 32,          // nor its tile
    WEIGHTS_IN_CACHE = 640 << 10,  // up to here a tile's patches stay in L1 and all weights go past them, out of L2
    SPARE_FLOATS = 64              // packing may write a vector past its end
};
static const double products_worth_a_thread = 1.5e5;

// One product of patches by weights, for each group of channels.
typedef struct {
    const csimd_gemm_kernels *kernels;
    csimd_conv_windows windows;
    csimd_conv_units units;
    size_t groups, columns;     // columns of a group
    size_t depth, block_depth;  // length of a patch, and of a block of it
    size_t most_rows;           // patches gathered at a time
    csimd_gemm_args out;        // c and aux: the element of window (0, 0) of image 0; bias
    size_t out_image, out_row, out_pixel;
    const float *b;           // packed weights, a group's after the other's
    size_t b_group, b_block;  // floats of a group, of a block
    csimd_gemm_run *runs;     // of each block, `tap_count + 1` apart
    size_t *run_counts;
    char *workers;  // each: copy, a, sums
    size_t worker_bytes, a_at, sums_at;
} product;

static size_t block_count(const product *p) { return p->depth == 0 ? 1 : (p->depth + p->block_depth - 1) / p->block_depth; }

// Writes finished rows first ..< first + rows of a unit, columns j ..< j + columns of a group: the rows of one image's row, or
// all where they lie at equal distances.
static void write_rows(const product *p, const csimd_gemm_args *out, const csimd_conv_unit *unit, size_t first, size_t rows,
                       size_t j, size_t columns, const float *sums, size_t ldsums) {
    const size_t width = p->windows.columns;
    const bool even = p->out_row == width * p->out_pixel && (unit->images == 1 || p->out_image == unit->rows * p->out_row);
    while (rows > 0) {
        const size_t column = first % width, row = first / width % unit->rows, image = first / width / unit->rows;
        const size_t count = even ? rows : csimd_minimum(rows, width - column);
        const size_t at = image * p->out_image + row * p->out_row + column * p->out_pixel;
        csimd_gemm_args part = *out;
        part.c = csimd_conv_at(part.c_type, part.c, at);
        part.aux = csimd_conv_at(part.aux_type, part.aux, at);
        p->kernels->finish(&part, 0, j, count, columns, 1, sums, ldsums);
        first += count;
        rows -= count;
        sums += count * ldsums;
    }
}

static void multiply_group(const product *p, const csimd_conv_unit *unit, size_t group, float *a, float *sums) {
    const csimd_gemm_kernels *kernels = p->kernels;
    const csimd_conv_windows *w = &p->windows;
    const size_t blocks = block_count(p), ldsums = csimd_round_up(p->columns, kernels->nr);
    const void *x = csimd_gemm_at(w->type, unit->x, group * w->group_channels);
    csimd_gemm_args out = p->out;
    const size_t unit_at = unit->first_image * p->out_image + unit->first_row * p->out_row + group * p->columns;
    out.c = csimd_conv_at(out.c_type, out.c, unit_at);
    out.aux = csimd_conv_at(out.aux_type, out.aux, unit_at);
    if (out.bias != NULL) out.bias = csimd_gemm_at(out.bias_type, out.bias, group * p->columns);
    const size_t windows = unit->images * unit->rows * w->columns;
    for (size_t i = 0, rows; i < windows; i += rows) {
        size_t row_at[MOST_BLOCK_ROWS];
        rows = csimd_gemm_next_height(windows - i, p->most_rows);
        csimd_conv_locate(w, unit, i, rows, row_at);
        for (size_t block = 0; block < blocks; block++) {
            const size_t run = csimd_minimum(p->depth - block * p->block_depth, p->block_depth);
            const size_t packed_run = csimd_gemm_packed_depth(kernels, run);
            const float *b = p->b + group * p->b_group + block * p->b_block;
            kernels->pack_a_gathered(w->type, x, row_at, rows, p->runs + block * (w->tap_count + 1), p->run_counts[block], a);
            for (size_t j = 0; j < p->columns; j += kernels->nr) {
                const size_t columns = csimd_minimum(p->columns - j, kernels->nr);
                const bool narrow = columns <= kernels->nr / 2;
                const size_t width = narrow ? kernels->nr / 2 : kernels->nr, mr = narrow ? kernels->narrow_mr : kernels->mr;
                const float *tile_a = a;
                for (size_t ir = 0, height; ir < rows; ir += height, tile_a += height * kernels->a_row_stride) {
                    height = csimd_gemm_next_height(rows - ir, mr);
                    if (blocks == 1) {
                        _Alignas(CSIMD_ALIGNMENT) float tile[TILE_LIMIT];
                        kernels->multiply(height, width, run, tile_a, false, b + j * packed_run, false, tile, width);
                        write_rows(p, &out, unit, i + ir, height, j, columns, tile, width);
                        continue;
                    }
                    float *part = sums + ir * ldsums + j;
                    kernels->multiply(height, width, run, tile_a, false, b + j * packed_run, block > 0, part, ldsums);
                    if (block + 1 == blocks) write_rows(p, &out, unit, i + ir, height, j, columns, part, ldsums);
                }
            }
        }
    }
}

static void run_unit(void *context, size_t index, size_t worker) {
    const product *p = context;
    char *memory = p->workers + worker * p->worker_bytes;
    const csimd_conv_unit unit = csimd_conv_open(&p->windows, &p->units, index, memory);
    for (size_t group = 0; group < p->groups; group++)
        multiply_group(p, &unit, group, (float *)(void *)(memory + p->a_at), (float *)(void *)(memory + p->sums_at));
}

// What the columns of a group's matrix are in the weights [output channels, channels of a group, kernel area]: element (t, c)
// of a patch and column n take the weight at base + kernel_of[t] + c * patch_step + n * column_step.
typedef struct {
    csimd_type type;
    const void *weight;
    const size_t *kernel_of;
    size_t group_step, patch_step, column_step;
} weight_layout;

static void collect_weights(const product *p, const weight_layout *layout, size_t group, void *matrix) {
    const size_t size = csimd_type_size(layout->type), channels = p->windows.group_channels, columns = p->columns;
    for (size_t t = 0; t < p->windows.tap_count; t++) {
        const size_t base = group * layout->group_step + layout->kernel_of[t];
        for (size_t c = 0; c < channels; c++) {
            const size_t from = base + c * layout->patch_step, to = (t * channels + c) * columns;
            if (size == 2)
                for (size_t n = 0; n < columns; n++)
                    ((uint16_t *)matrix)[to + n] = ((const uint16_t *)layout->weight)[from + n * layout->column_step];
            else
                for (size_t n = 0; n < columns; n++)
                    ((uint32_t *)matrix)[to + n] = ((const uint32_t *)layout->weight)[from + n * layout->column_step];
        }
    }
}

// All scratch of a product is one block of the calling thread's: what is shared, then the workers' parts.
static csimd_status multiply(product *p, const weight_layout *layout) {
    const csimd_gemm_kernels *kernels = p->kernels;
    assert(kernels->mc <= MOST_BLOCK_ROWS);
    p->units = csimd_conv_cut(&p->windows);
    p->depth = p->windows.tap_count * p->windows.group_channels;
    p->block_depth = csimd_conv_block_depth(kernels, p->depth);
    const size_t blocks = block_count(p), runs = p->windows.tap_count + 1;
    const size_t panel = csimd_round_up(p->columns, kernels->nr);
    p->b_block = panel * csimd_gemm_packed_depth(kernels, p->block_depth);
    p->b_group = blocks * p->b_block;
    const size_t tile_rows = p->columns <= kernels->nr / 2 ? kernels->narrow_mr : kernels->mr;
    p->most_rows = p->b_group * sizeof(float) <= WEIGHTS_IN_CACHE ? tile_rows : kernels->mc;
    const size_t rows = csimd_minimum(p->units.most_windows, p->most_rows);
    const double work = (double)p->windows.images * (double)p->windows.rows * (double)p->windows.columns *
                        (double)(p->depth + 1) * (double)(p->columns * p->groups);
    const int threads = csimd_threads_for(work, products_worth_a_thread);

    const size_t b_at = csimd_round_up(blocks * (runs * sizeof(csimd_gemm_run) + sizeof(size_t)), CSIMD_ALIGNMENT);
    const size_t matrix_at = b_at + csimd_round_up((p->groups * p->b_group + SPARE_FLOATS) * sizeof(float), CSIMD_ALIGNMENT);
    const size_t matrix_bytes = p->depth * p->columns * csimd_type_size(layout->type);
    const size_t workers_at = csimd_round_up(matrix_at + matrix_bytes, CSIMD_ALIGNMENT);
    // Packing may read past a patch's last element by less than the vector that it is masked to, never past the copy.
    p->a_at = csimd_round_up(p->units.padded_bytes, CSIMD_ALIGNMENT);
    p->sums_at = p->a_at + csimd_round_up((rows * kernels->a_row_stride + SPARE_FLOATS) * sizeof(float), CSIMD_ALIGNMENT);
    p->worker_bytes = p->sums_at + (blocks > 1 ? rows * panel * sizeof(float) : 0);
    p->worker_bytes = csimd_round_up(p->worker_bytes, 4096) + CSIMD_ALIGNMENT;  // not a whole number of pages apart
    char *memory = csimd_scratch(CSIMD_SCRATCH_A, workers_at + (size_t)threads * p->worker_bytes);
    if (memory == NULL) return CSIMD_OUT_OF_MEMORY;
    p->runs = (csimd_gemm_run *)(void *)memory;
    p->run_counts = (size_t *)(void *)(p->runs + blocks * runs);
    p->workers = memory + workers_at;

    float *b = (float *)(void *)(memory + b_at);
    p->b = b;
    for (size_t block = 0; block < blocks; block++) {
        const size_t first = block * p->block_depth, count = csimd_minimum(p->depth - first, p->block_depth);
        p->run_counts[block] = csimd_conv_runs(&p->windows, p->units.row_pixels, first, count, p->runs + block * runs);
    }
    for (size_t group = 0; group < p->groups; group++) {
        collect_weights(p, layout, group, memory + matrix_at);
        for (size_t block = 0; block < blocks; block++) {
            const size_t first = block * p->block_depth, count = csimd_minimum(p->depth - first, p->block_depth);
            kernels->pack_b_rows(layout->type, csimd_gemm_at(layout->type, memory + matrix_at, first * p->columns), p->columns,
                                 count, p->columns, b + group * p->b_group + block * p->b_block);
        }
    }
    csimd_run_tasks(p->units.count, threads, run_unit, p);
    return CSIMD_OK;
}

static bool is_element(csimd_type type, bool all_f64) { return csimd_type_valid(type) && (type == CSIMD_F64) == all_f64; }

// Whether a product may run: *with_formula says that it runs by its formula.
static csimd_status check(const csimd_conv_args *args, bool *with_formula) {
    const csimd_conv_shape *s = &args->shape;
    const bool f64 = args->y_type == CSIMD_F64;
    if (!csimd_conv_shape_is_valid(s) || (unsigned)args->epilogue > CSIMD_EPILOGUE_GELU_GRADIENT) return CSIMD_INVALID_ARGUMENT;
    if (!is_element(args->x_type, f64) || !is_element(args->weight_type, f64) || !is_element(args->y_type, f64))
        return CSIMD_INVALID_ARGUMENT;
    if (args->bias != NULL && !is_element(args->bias_type, f64)) return CSIMD_INVALID_ARGUMENT;
    const bool needs_aux = args->epilogue >= CSIMD_EPILOGUE_RELU_GRADIENT;
    const bool has_aux = needs_aux || (args->epilogue == CSIMD_EPILOGUE_GELU && args->aux != NULL);
    if (has_aux && (args->aux == NULL || !is_element(args->aux_type, f64))) return CSIMD_INVALID_ARGUMENT;
    const csimd_gemm_kernels *kernels = f64 ? NULL : csimd_conv_kernels(args->x_type, args->weight_type);
    *with_formula = f64 || kernels->formula != NULL;
    return CSIMD_OK;
}

static csimd_gemm_args output(const csimd_conv_args *args) {
    return (csimd_gemm_args){.alpha = 1,
                             .c_type = args->y_type,
                             .c = args->y,
                             .bias_type = args->bias_type,
                             .bias = args->bias,
                             .epilogue = args->epilogue,
                             .aux_type = args->aux_type,
                             .aux = args->aux};
}

csimd_status csimd_conv(const csimd_conv_args *args) {
    const csimd_conv_shape *s = &args->shape;
    bool with_formula;
    const csimd_status status = check(args, &with_formula);
    if (status != CSIMD_OK || s->batch == 0 || s->output_channels == 0) return status;
    if (with_formula) {
        csimd_conv_formula(args);
        return CSIMD_OK;
    }
    const size_t area = s->kernel_height * s->kernel_width, channels = s->channels / s->groups;
    csimd_conv_tap *taps = csimd_scratch(CSIMD_SCRATCH_B, area * (sizeof(csimd_conv_tap) + sizeof(size_t)));
    if (taps == NULL) return CSIMD_OUT_OF_MEMORY;
    size_t *kernel_of = (size_t *)(void *)(taps + area);
    for (size_t t = 0; t < area; t++) {
        taps[t] = (csimd_conv_tap){t / s->kernel_width * s->dilation_height, t % s->kernel_width * s->dilation_width};
        kernel_of[t] = t;
    }
    const size_t height = csimd_conv_output_height(s), width = csimd_conv_output_width(s);
    product p = {.kernels = csimd_conv_kernels(args->x_type, args->weight_type),
                 .windows = {.type = args->x_type,
                             .x = args->x,
                             .images = s->batch,
                             .height = s->height,
                             .width = s->width,
                             .channels = s->channels,
                             .group_channels = channels,
                             .top = -(ptrdiff_t)s->padding_height,
                             .left = -(ptrdiff_t)s->padding_width,
                             .step_y = s->stride_height,
                             .step_x = s->stride_width,
                             .rows = height,
                             .columns = width,
                             .taps = taps,
                             .tap_count = area},
                 .groups = s->groups,
                 .columns = s->output_channels / s->groups,
                 .out = output(args),
                 .out_image = height * width * s->output_channels,
                 .out_row = width * s->output_channels,
                 .out_pixel = s->output_channels};
    p.out.ldc = p.out.ldaux = p.out_pixel;
    const weight_layout layout = {.type = args->weight_type,
                                  .weight = args->weight,
                                  .kernel_of = kernel_of,
                                  .group_step = p.columns * channels * area,
                                  .patch_step = area,
                                  .column_step = channels * area};
    return multiply(&p, &layout);
}

// An axis of the transpose at one phase: pixels phase + i stride take windows i + first + offset, one for each tap of the
// kernel that reaches them; taps in the order of their offsets, which is the kernel's reversed.
typedef struct {
    size_t pixels, count;
    ptrdiff_t first;
    size_t *taps, *offsets;
} phase_axis;

static phase_axis axis_of(size_t phase, size_t size, size_t stride, size_t kernel, size_t dilation, size_t padding,
                          size_t *memory) {
    phase_axis axis = {
        .pixels = phase < size ? (size - phase + stride - 1) / stride : 0, .taps = memory, .offsets = memory + kernel};
    for (size_t tap = kernel; tap-- > 0;) {
        const ptrdiff_t window = (ptrdiff_t)(phase + padding) - (ptrdiff_t)(tap * dilation);
        if (window % (ptrdiff_t)stride != 0) continue;
        if (axis.count == 0) axis.first = window / (ptrdiff_t)stride;
        axis.taps[axis.count] = tap;
        axis.offsets[axis.count++] = (size_t)(window / (ptrdiff_t)stride - axis.first);
    }
    return axis;
}

csimd_status csimd_conv_input_gradient(const csimd_conv_args *args) {
    const csimd_conv_shape *s = &args->shape;
    bool with_formula;
    csimd_status status = check(args, &with_formula);
    if (status != CSIMD_OK || s->batch == 0 || s->channels == 0) return status;
    if (with_formula) {
        csimd_conv_input_gradient_formula(args);
        return CSIMD_OK;
    }
    const size_t area = s->kernel_height * s->kernel_width, channels = s->channels / s->groups;
    const size_t outputs = s->output_channels / s->groups;
    const size_t words = area + 2 * (s->kernel_height + s->kernel_width);
    csimd_conv_tap *taps = csimd_scratch(CSIMD_SCRATCH_B, area * sizeof(csimd_conv_tap) + words * sizeof(size_t));
    if (taps == NULL) return CSIMD_OUT_OF_MEMORY;
    size_t *kernel_of = (size_t *)(void *)(taps + area), *axes = kernel_of + area;
    for (size_t phase_y = 0; phase_y < s->stride_height; phase_y++)
        for (size_t phase_x = 0; phase_x < s->stride_width && status == CSIMD_OK; phase_x++) {
            const phase_axis y =
                axis_of(phase_y, s->height, s->stride_height, s->kernel_height, s->dilation_height, s->padding_height, axes);
            const phase_axis x = axis_of(phase_x, s->width, s->stride_width, s->kernel_width, s->dilation_width,
                                         s->padding_width, axes + 2 * s->kernel_height);
            if (y.pixels == 0 || x.pixels == 0) continue;
            size_t count = 0;
            for (size_t i = 0; i < y.count; i++)
                for (size_t j = 0; j < x.count; j++, count++) {
                    taps[count] = (csimd_conv_tap){y.offsets[i], x.offsets[j]};
                    kernel_of[count] = y.taps[i] * s->kernel_width + x.taps[j];
                }
            product p = {.kernels = csimd_conv_kernels(args->x_type, args->weight_type),
                         .windows = {.type = args->x_type,
                                     .x = args->x,
                                     .images = s->batch,
                                     .height = csimd_conv_output_height(s),
                                     .width = csimd_conv_output_width(s),
                                     .channels = s->output_channels,
                                     .group_channels = outputs,
                                     .top = y.first,
                                     .left = x.first,
                                     .step_y = 1,
                                     .step_x = 1,
                                     .rows = y.pixels,
                                     .columns = x.pixels,
                                     .taps = taps,
                                     .tap_count = count},
                         .groups = s->groups,
                         .columns = channels,
                         .out = output(args),
                         .out_image = s->height * s->width * s->channels,
                         .out_row = s->stride_height * s->width * s->channels,
                         .out_pixel = s->stride_width * s->channels};
            const size_t at = (phase_y * s->width + phase_x) * s->channels;
            p.out.ldc = p.out.ldaux = p.out_pixel;
            p.out.c = csimd_conv_at(args->y_type, args->y, at);
            p.out.aux = csimd_conv_at(args->aux_type, args->aux, at);
            const weight_layout layout = {.type = args->weight_type,
                                          .weight = args->weight,
                                          .kernel_of = kernel_of,
                                          .group_step = outputs * channels * area,
                                          .patch_step = channels * area,
                                          .column_step = area};
            status = multiply(&p, &layout);
        }
    return status;
}
