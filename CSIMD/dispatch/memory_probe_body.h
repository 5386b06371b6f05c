// One pass over a block in whole vectors. Reading: one load and one exclusive-or a vector, in 4 chains, so that loads are the
// only limit. Copying: one load and one store a vector.

static float memory_probe(csimd_memory_pattern pattern, size_t bytes, float *block) {
    enum { chains = 4, unroll = csimd_memory_probe_step / (int)sizeof(float) / v_lanes };
    size_t count = bytes / sizeof(float), half = count / 2;
    size_t step = csimd_memory_probe_step / sizeof(float);
    float lanes[v_lanes];
    if (pattern == CSIMD_MEMORY_READ) {
        v_f32 sum[chains];
        for (int chain = 0; chain < chains; chain++) sum[chain] = v_set(0);
        for (size_t i = 0; i < count; i += step)
#pragma clang loop unroll(full)
            for (size_t j = 0; j < unroll; j++)
                sum[j % chains] = v_xor(sum[j % chains], v_load(CSIMD_F32, block, i + j * v_lanes));
        for (int chain = 1; chain < chains; chain++) sum[0] = v_xor(sum[0], sum[chain]);
        v_store(CSIMD_F32, lanes, 0, sum[0]);
        return lanes[0];
    }
    float *target = block + half;
    for (size_t i = 0; i < half; i += step)
#pragma clang loop unroll(full)
        for (size_t j = i; j < i + unroll * v_lanes; j += 2 * v_lanes) {
            const v_f32 low = v_load(CSIMD_F32, block, j), high = v_load(CSIMD_F32, block, j + v_lanes);
            if (pattern == CSIMD_MEMORY_COPY)
                v_store_pair(CSIMD_F32, target, j, low, high);
            else
                v_stream_pair(CSIMD_F32, target, j, low, high);
        }
    v_stream_end();
    return target[0];
}
