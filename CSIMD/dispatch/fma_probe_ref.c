// Reference row: four independent scalar multiply-adds an iteration.
#include "fma_probe.h"

double csimd_fma_probe_ref(size_t iterations, double *flops) {
    float sum[4] = {2, 3, 4, 5};
    for (size_t i = 0; i < iterations; i++)
        for (int lane = 0; lane < 4; lane++) sum[lane] = sum[lane] * 0.999999f + 1e-6f;
    *flops = (double)iterations * 4 * 2;
    return (double)sum[0] + sum[1] + sum[2] + sum[3];
}
