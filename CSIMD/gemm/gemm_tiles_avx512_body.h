// Tiles of every height and width of the AVX-512 micro-kernels, each compiled for itself; included after the
// body that has `tile`, and NARROW_COLUMNS, the width of a narrow one.

static void multiply_rows(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add, float *c,
                          size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 7:
        tile(7, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 8:
        tile(8, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 9:
        tile(9, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 10:
        tile(10, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 11:
        tile(11, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 12:
        tile(12, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 13:
        tile(13, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    case 14:
        tile(14, 2, false, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply_panels(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add, float *c,
                            size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 7:
        tile(7, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 8:
        tile(8, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 9:
        tile(9, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 10:
        tile(10, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 11:
        tile(11, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 12:
        tile(12, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 13:
        tile(13, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    case 14:
        tile(14, 2, true, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply_narrow_rows(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add, float *c,
                                 size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 7:
        tile(7, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 8:
        tile(8, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 9:
        tile(9, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 10:
        tile(10, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 11:
        tile(11, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 12:
        tile(12, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 13:
        tile(13, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 14:
        tile(14, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 15:
        tile(15, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 16:
        tile(16, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 17:
        tile(17, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 18:
        tile(18, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 19:
        tile(19, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 20:
        tile(20, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 21:
        tile(21, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 22:
        tile(22, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 23:
        tile(23, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 24:
        tile(24, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 25:
        tile(25, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 26:
        tile(26, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 27:
        tile(27, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    case 28:
        tile(28, 1, false, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply_narrow_panels(size_t rows, size_t columns, size_t depth, const float *a, const float *b, bool add,
                                   float *c, size_t ldc) {
    switch (rows) {
    case 1:
        tile(1, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 2:
        tile(2, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 3:
        tile(3, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 4:
        tile(4, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 5:
        tile(5, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 6:
        tile(6, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 7:
        tile(7, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 8:
        tile(8, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 9:
        tile(9, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 10:
        tile(10, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 11:
        tile(11, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 12:
        tile(12, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 13:
        tile(13, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    case 14:
        tile(14, 1, true, columns, depth, a, b, add, c, ldc);
        return;
    }
}

static void multiply_tile(size_t rows, size_t columns, size_t depth, const float *a, bool a_in_panels, const float *b, bool add,
                          float *c, size_t ldc) {
    if (columns > NARROW_COLUMNS) {
        if (a_in_panels)
            multiply_panels(rows, columns, depth, a, b, add, c, ldc);
        else
            multiply_rows(rows, columns, depth, a, b, add, c, ldc);
    } else {
        if (a_in_panels)
            multiply_narrow_panels(rows, columns, depth, a, b, add, c, ldc);
        else
            multiply_narrow_rows(rows, columns, depth, a, b, add, c, ldc);
    }
}
