// Where patches lie: cutting a grid of windows into units, bringing a unit into a form without edges, and finding its patches.
#include "conv.h"

#include "../dispatch/kernel_table.h"

enum {
    MOST_WINDOWS_OF_A_BAND = 4096,
    WINDOWS_OF_SMALL_IMAGES = 1024,  // images are put together up to so many: a whole block of k for the weights' gradient
    LEAST_UNITS = 8                  // of a batch that has as many images, so that threads have something to share
};

static size_t extent(const csimd_conv_windows *w, bool vertical) {
    size_t most = 0;
    for (size_t t = 0; t < w->tap_count; t++) {
        const size_t at = vertical ? w->taps[t].y : w->taps[t].x;
        if (at + 1 > most) most = at + 1;
    }
    return most;
}

csimd_conv_units csimd_conv_cut(const csimd_conv_windows *w) {
    csimd_conv_units u = {.images = 1, .bands = 1, .band_rows = w->rows};
    const size_t windows = w->rows * w->columns;
    if (windows > MOST_WINDOWS_OF_A_BAND) {
        const size_t most_rows = w->columns < MOST_WINDOWS_OF_A_BAND ? MOST_WINDOWS_OF_A_BAND / w->columns : 1;
        u.bands = (w->rows + most_rows - 1) / most_rows;
        u.band_rows = (w->rows + u.bands - 1) / u.bands;
        u.bands = (w->rows + u.band_rows - 1) / u.band_rows;
        u.count = w->images * u.bands;
    } else {
        const size_t share = (w->images + LEAST_UNITS - 1) / LEAST_UNITS;
        u.images = csimd_minimum(share, WINDOWS_OF_SMALL_IMAGES / windows);
        if (u.images == 0) u.images = 1;
        u.count = (w->images + u.images - 1) / u.images;
    }
    u.most_windows = u.images * u.band_rows * w->columns;
    const size_t tall = extent(w, true), wide = extent(w, false);
    const size_t whole_height = (w->rows - 1) * w->step_y + tall;
    u.padded_height = (u.band_rows - 1) * w->step_y + tall;
    u.padded_width = (w->columns - 1) * w->step_x + wide;
    u.in_place = w->top >= 0 && w->left >= 0 && (size_t)w->top + whole_height <= w->height &&
                 (size_t)w->left + u.padded_width <= w->width;
    u.row_pixels = u.in_place ? w->width : u.padded_width;
    u.padded_bytes = u.in_place ? 0 : u.images * u.padded_height * u.padded_width * w->channels * csimd_type_size(w->type);
    return u;
}

// The part of 0 ..< count, moved by `shift`, that lies within 0 ..< limit: [*begin, *end) of 0 ..< count.
static void inside(size_t count, ptrdiff_t shift, size_t limit, size_t *begin, size_t *end) {
    const ptrdiff_t first = shift < 0 ? -shift : 0, last = (ptrdiff_t)limit - shift;
    *begin = csimd_minimum((size_t)first, count);
    *end = last < 0 ? *begin : csimd_minimum((size_t)last, count);
    if (*end < *begin) *end = *begin;
}

static void copy_padded(const csimd_conv_windows *w, const csimd_conv_units *units, const csimd_conv_unit *unit, char *to) {
    const size_t pixel = w->channels * csimd_type_size(w->type), height = (unit->rows - 1) * w->step_y + extent(w, true);
    const ptrdiff_t top = w->top + (ptrdiff_t)(unit->first_row * w->step_y);
    size_t first_row, end_row, first, end;
    inside(height, top, w->height, &first_row, &end_row);
    inside(units->padded_width, w->left, w->width, &first, &end);
    const size_t row = units->padded_width * pixel;
    for (size_t image = 0; image < unit->images; image++, to += units->padded_height * row) {
        const char *from = (const char *)w->x + (unit->first_image + image) * w->height * w->width * pixel;
        memset(to, 0, first_row * row);
        for (size_t y = first_row; y < end_row; y++) {
            char *target = to + y * row;
            const size_t source = (size_t)((ptrdiff_t)y + top) * w->width + (size_t)((ptrdiff_t)first + w->left);
            memset(target, 0, first * pixel);
            if (first < end) memcpy(target + first * pixel, from + source * pixel, (end - first) * pixel);
            memset(target + end * pixel, 0, (units->padded_width - end) * pixel);
        }
        memset(to + end_row * row, 0, (height - end_row) * row);
    }
}

csimd_conv_unit csimd_conv_open(const csimd_conv_windows *w, const csimd_conv_units *units, size_t index, void *copy) {
    csimd_conv_unit unit = {.rows = w->rows, .images = 1};
    if (units->bands > 1) {
        unit.first_image = index / units->bands;
        unit.first_row = index % units->bands * units->band_rows;
        unit.rows = csimd_minimum(w->rows - unit.first_row, units->band_rows);
    } else {
        unit.first_image = index * units->images;
        unit.images = csimd_minimum(w->images - unit.first_image, units->images);
    }
    unit.step_elements = w->step_x * w->channels;
    unit.row_elements = w->step_y * units->row_pixels * w->channels;
    if (units->in_place) {
        unit.image_elements = w->height * w->width * w->channels;
        const size_t row = (size_t)w->top + unit.first_row * w->step_y;
        const size_t pixel = (unit.first_image * w->height + row) * w->width + (size_t)w->left;
        unit.x = csimd_gemm_at(w->type, w->x, pixel * w->channels);
    } else {
        unit.image_elements = units->padded_height * units->padded_width * w->channels;
        unit.x = copy;
        copy_padded(w, units, &unit, copy);
    }
    return unit;
}

void csimd_conv_locate(const csimd_conv_windows *w, const csimd_conv_unit *unit, size_t first, size_t count, size_t *row_at) {
    size_t column = first % w->columns, row = first / w->columns % unit->rows, image = first / w->columns / unit->rows;
    for (size_t i = 0; i < count; i++) {
        row_at[i] = image * unit->image_elements + row * unit->row_elements + column * unit->step_elements;
        if (++column < w->columns) continue;
        column = 0;
        if (++row < unit->rows) continue;
        row = 0;
        image++;
    }
}

size_t csimd_conv_runs(const csimd_conv_windows *w, size_t row_pixels, size_t first, size_t count, csimd_gemm_run *runs) {
    size_t found = 0;
    while (count > 0) {
        const csimd_conv_tap tap = w->taps[first / w->group_channels];
        const size_t from = first % w->group_channels, length = csimd_minimum(count, w->group_channels - from);
        const size_t at = (tap.y * row_pixels + tap.x) * w->channels + from;
        if (found > 0 && runs[found - 1].at + runs[found - 1].length == at)
            runs[found - 1].length += length;
        else
            runs[found++] = (csimd_gemm_run){at, length};
        first += length;
        count -= length;
    }
    return found;
}

const csimd_gemm_kernels *csimd_conv_kernels(csimd_type a, csimd_type b) {
    const csimd_row *row = csimd_kernels();
    const csimd_gemm_kernels *kernels = row->gemm;
    if (a == CSIMD_BF16 && b == CSIMD_BF16 && row->gemm_bf16 != NULL) kernels = csimd_chosen_bf16(row);
    return kernels->formula == NULL && kernels->pack_a_gathered == NULL ? row->gemm : kernels;
}

static size_t output_size(size_t size, size_t padding, size_t kernel, size_t stride, size_t dilation) {
    return (size + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
}

size_t csimd_conv_output_height(const csimd_conv_shape *s) {
    return output_size(s->height, s->padding_height, s->kernel_height, s->stride_height, s->dilation_height);
}

size_t csimd_conv_output_width(const csimd_conv_shape *s) {
    return output_size(s->width, s->padding_width, s->kernel_width, s->stride_width, s->dilation_width);
}

static bool is_axis(size_t size, size_t padding, size_t kernel, size_t stride, size_t dilation) {
    size_t reach;
    const size_t most = PTRDIFF_MAX / 8;
    if (kernel == 0 || stride == 0 || dilation == 0 || size > most || padding > most) return false;
    if (__builtin_mul_overflow(dilation, kernel - 1, &reach) || reach >= most) return false;
    return reach + 1 <= size + 2 * padding;
}

bool csimd_conv_shape_is_valid(const csimd_conv_shape *s) {
    if (!is_axis(s->height, s->padding_height, s->kernel_height, s->stride_height, s->dilation_height)) return false;
    if (!is_axis(s->width, s->padding_width, s->kernel_width, s->stride_width, s->dilation_width)) return false;
    return s->groups > 0 && s->channels % s->groups == 0 && s->output_channels % s->groups == 0;
}
