// The weights' gradient: dy turned round times the patches, summed over all windows. Patches are gathered into the GEMM's
// packed panels one at a time, dy is packed as any transposed operand, and both stay in L2 from their packing to their last
// tile. The windows are cut into a few parts with sums of their own, by the shape alone; the sums are added in order, so that
// threads change no bit.
#include "conv.h"

#include "../dispatch/kernel_table.h"
#include "../support/parallel.h"
#include "../support/scalar16.h"
#include "../support/scratch.h"

enum {
    MOST_PARTS = 4,
    PART_BYTES = 4 << 20,    // of sums beyond the first part's
    PANELS_OF_A_SHARE = 20,  // least panels of columns that a task is made of: each packs dy anew
    MOST_BLOCK_WINDOWS = 1024,
    SPARE_FLOATS = 64
};
static const double products_worth_a_thread = 1.5e5;

typedef struct {
    const csimd_gemm_kernels *kernels;
    csimd_conv_windows windows;
    csimd_conv_units units;
    csimd_type dy_type;
    const void *dy;
    size_t groups, rows, columns;  // of the product of one group: output channels, elements of a patch
    size_t parts, shares;          // of the units, of the columns
    size_t share_columns;
    float *sums;           // [parts, groups, rows, columns]
    csimd_gemm_run *runs;  // of each panel of columns, `panel_runs` apart
    size_t panel_runs;
    char *workers;  // each: copy, a, b
    size_t worker_bytes, a_at, b_at;
} product;

// sums [rows, columns of a share] += dy turned round times patches, over windows first ..< first + depth of a unit.
static void multiply_block(const product *p, const csimd_conv_unit *unit, size_t group, size_t share, size_t first,
                           size_t depth, bool add, float *a, float *b) {
    const csimd_gemm_kernels *kernels = p->kernels;
    const csimd_conv_windows *w = &p->windows;
    const size_t packed_depth = csimd_gemm_packed_depth(kernels, depth), outputs = p->groups * p->rows;
    const size_t begin = share * p->share_columns, end = csimd_minimum(p->columns, begin + p->share_columns);
    const void *x = csimd_gemm_at(w->type, unit->x, group * w->group_channels);
    size_t row_at[MOST_BLOCK_WINDOWS];
    csimd_conv_locate(w, unit, first, depth, row_at);
    const size_t window = (unit->first_image * w->rows + unit->first_row) * w->columns + first;
    for (size_t i = 0, rows; i < p->rows; i += rows) {
        rows = csimd_gemm_next_height(p->rows - i, kernels->mc);
        kernels->pack_a_panels(p->dy_type, csimd_gemm_at(p->dy_type, p->dy, window * outputs + group * p->rows + i), outputs,
                               rows, depth, a);
        for (size_t j = begin; j < end; j += kernels->nr) {
            const float *tile_a = a;
            const size_t columns = csimd_minimum(end - j, kernels->nr);
            kernels->pack_b_gathered(w->type, x, row_at, depth, p->runs + j / kernels->nr * p->panel_runs, columns, b);
            for (size_t ir = 0, height; ir < rows; ir += height, tile_a += packed_depth * kernels->a_panel_width) {
                height = csimd_gemm_next_height(rows - ir, kernels->mr);
                kernels->multiply(height, columns, depth, tile_a, true, b, add, p->sums + (i + ir) * p->columns + j,
                                  p->columns);
            }
        }
    }
}

static void run_part(void *context, size_t task, size_t worker) {
    const product *p = context;
    const size_t part = task / p->shares, share = task % p->shares;
    char *memory = p->workers + worker * p->worker_bytes;
    float *a = (float *)(void *)(memory + p->a_at), *b = (float *)(void *)(memory + p->b_at);
    product own = *p;
    size_t first, end;
    csimd_share(p->units.count, 1, part, p->parts, &first, &end);
    for (size_t index = first; index < end; index++) {
        const csimd_conv_unit unit = csimd_conv_open(&p->windows, &p->units, index, memory);
        const size_t windows = unit.images * unit.rows * p->windows.columns,
                     most = csimd_minimum(p->kernels->kc, MOST_BLOCK_WINDOWS);
        for (size_t group = 0; group < p->groups; group++) {
            own.sums = p->sums + (part * p->groups + group) * p->rows * p->columns;
            for (size_t i = 0, depth; i < windows; i += depth) {
                depth = csimd_gemm_next_height(windows - i, most);
                multiply_block(&own, &unit, group, share, i, depth, index > first || i > 0, a, b);
            }
        }
    }
}

// dw[o, c, t] = sum of the parts' sums[o, t, c], and what was there.
static void add_parts(const product *p, bool accumulate, csimd_type dw_type, void *dw) {
    const size_t area = p->windows.tap_count, channels = p->windows.group_channels, rows = p->groups * p->rows;
    const size_t part = rows * p->columns;
    for (size_t o = 0; o < rows; o++) {
        float *first = p->sums + o * p->columns;
        for (size_t other = 1; other < p->parts; other++)
            for (size_t j = 0; j < p->columns; j++) first[j] += first[other * part + j];
        for (size_t c = 0; c < channels; c++)
            for (size_t t = 0; t < area; t++) {
                const size_t at = (o * channels + c) * area + t;
                float sum = first[t * channels + c];
                if (dw_type == CSIMD_F32) {
                    ((float *)dw)[at] = accumulate ? ((float *)dw)[at] + sum : sum;
                } else {
                    if (accumulate) sum += csimd_load_f32(dw_type, dw, at);
                    csimd_store_f32(dw_type, dw, at, sum);
                }
            }
    }
}

static csimd_status multiply(product *p, bool accumulate, csimd_type dw_type, void *dw) {
    const csimd_gemm_kernels *kernels = p->kernels;
    p->units = csimd_conv_cut(&p->windows);
    const size_t part_bytes = p->groups * p->rows * p->columns * sizeof(float);
    p->parts = csimd_minimum(1 + PART_BYTES / part_bytes, csimd_minimum(MOST_PARTS, p->units.count));
    const size_t panels = (p->columns + kernels->nr - 1) / kernels->nr;
    p->shares = (panels + PANELS_OF_A_SHARE - 1) / PANELS_OF_A_SHARE;
    p->share_columns = (panels + p->shares - 1) / p->shares * kernels->nr;
    p->shares = (p->columns + p->share_columns - 1) / p->share_columns;
    p->panel_runs = csimd_minimum(p->windows.tap_count, kernels->nr) + 1;
    const double work = (double)p->windows.images * (double)p->windows.rows * (double)p->windows.columns * (double)p->columns *
                        (double)(p->rows * p->groups);
    const int threads = csimd_threads_for(work, products_worth_a_thread);

    const size_t sums_at = csimd_round_up(panels * p->panel_runs * sizeof(csimd_gemm_run), CSIMD_ALIGNMENT);
    const size_t workers_at = csimd_round_up(sums_at + p->parts * part_bytes, CSIMD_ALIGNMENT);
    const size_t depth = csimd_gemm_packed_depth(kernels, csimd_minimum(p->units.most_windows, MOST_BLOCK_WINDOWS));
    const size_t tiles = csimd_minimum(p->rows, kernels->mc) / kernels->mr + 2;  // heights are made nearly equal
    p->a_at = csimd_round_up(p->units.padded_bytes, CSIMD_ALIGNMENT);
    p->b_at =
        p->a_at + csimd_round_up((tiles * depth * kernels->a_panel_width + SPARE_FLOATS) * sizeof(float), CSIMD_ALIGNMENT);
    p->worker_bytes = csimd_round_up(p->b_at + (kernels->nr * depth + SPARE_FLOATS) * sizeof(float), 4096);
    p->worker_bytes += CSIMD_ALIGNMENT;  // not a whole number of pages apart
    char *memory = csimd_scratch(CSIMD_SCRATCH_A, workers_at + (size_t)threads * p->worker_bytes);
    if (memory == NULL) return CSIMD_OUT_OF_MEMORY;
    p->runs = (csimd_gemm_run *)(void *)memory;
    p->sums = (float *)(void *)(memory + sums_at);
    p->workers = memory + workers_at;
    for (size_t panel = 0; panel < panels; panel++) {
        const size_t first = panel * kernels->nr;
        csimd_conv_runs(&p->windows, p->units.row_pixels, first, csimd_minimum(p->columns - first, kernels->nr),
                        p->runs + panel * p->panel_runs);
    }
    csimd_run_tasks(p->parts * p->shares, threads, run_part, p);
    add_parts(p, accumulate, dw_type, dw);
    return CSIMD_OK;
}

static bool is_element(csimd_type type, bool f64) { return csimd_type_valid(type) && (type == CSIMD_F64) == f64; }

csimd_status csimd_conv_weight_gradient(const csimd_conv_shape *s, csimd_type dy_type, const void *dy, csimd_type x_type,
                                        const void *x, bool accumulate, csimd_type dw_type, void *dw) {
    const bool f64 = dw_type == CSIMD_F64;
    if (!csimd_conv_shape_is_valid(s) || !is_element(dy_type, f64) || !is_element(x_type, f64) || !is_element(dw_type, f64))
        return CSIMD_INVALID_ARGUMENT;
    const csimd_gemm_kernels *kernels = f64 ? NULL : csimd_conv_kernels(dy_type, x_type);
    const size_t channels = s->channels / s->groups, area = s->kernel_height * s->kernel_width;
    if (f64 || kernels->formula != NULL || s->batch == 0 || channels == 0 || s->output_channels == 0) {
        csimd_conv_weight_gradient_formula(s, dy_type, dy, x_type, x, accumulate, dw_type, dw);
        return CSIMD_OK;
    }
    csimd_conv_tap *taps = csimd_scratch(CSIMD_SCRATCH_B, area * sizeof(csimd_conv_tap));
    if (taps == NULL) return CSIMD_OUT_OF_MEMORY;
    for (size_t t = 0; t < area; t++)
        taps[t] = (csimd_conv_tap){t / s->kernel_width * s->dilation_height, t % s->kernel_width * s->dilation_width};
    product p = {.kernels = kernels,
                 .windows = {.type = x_type,
                             .x = x,
                             .images = s->batch,
                             .height = s->height,
                             .width = s->width,
                             .channels = s->channels,
                             .group_channels = channels,
                             .top = -(ptrdiff_t)s->padding_height,
                             .left = -(ptrdiff_t)s->padding_width,
                             .step_y = s->stride_height,
                             .step_x = s->stride_width,
                             .rows = csimd_conv_output_height(s),
                             .columns = csimd_conv_output_width(s),
                             .taps = taps,
                             .tap_count = area},
                 .dy_type = dy_type,
                 .dy = dy,
                 .groups = s->groups,
                 .rows = s->output_channels / s->groups,
                 .columns = channels * area};
    return multiply(&p, accumulate, dw_type, dw);
}
