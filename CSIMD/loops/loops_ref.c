// Reference row: the loops for any CPU.
#include "loops.h"

#include "../support/scalar16.h"

#define F16_ELEMENT(x, i) csimd_f16_to_f32(((const csimd_f16 *)(x))[i])

#include "cast_body.h"
#include "compare_body.h"
#include "integer_body.h"

const csimd_loops_kernels csimd_loops_kernels_ref = {
    .compare = compare,
    .select = select_elements,
    .arithmetic = arithmetic,
    .reduce_row = reduce_row,
    .reduce_columns = reduce_columns,
    .cast = cast,
};
