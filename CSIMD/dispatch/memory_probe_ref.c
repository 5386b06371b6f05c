// Reference row: word by word. Streaming stores are plain ones here.
#include "memory_probe.h"

#include <string.h>

float csimd_memory_probe_ref(csimd_memory_pattern pattern, size_t bytes, float *block) {
    size_t count = bytes / sizeof(float);
    if (pattern == CSIMD_MEMORY_READ) {
        uint32_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            uint32_t word;
            memcpy(&word, block + i, sizeof word);
            sum ^= word;
        }
        return (float)sum;
    }
    memcpy(block + count / 2, block, bytes / 2);
    return block[count / 2];
}
