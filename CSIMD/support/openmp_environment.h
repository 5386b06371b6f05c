// Variables of the environment that libomp reads and that would end the process or make it hang.
#ifndef CSIMD_OPENMP_ENVIRONMENT_H
#define CSIMD_OPENMP_ENVIRONMENT_H

#include <stddef.h>

// Takes those variables out of the environment whose values libomp cannot take, and appends to `text` (of `size` bytes, holding
// a string) a sentence for each: what was found and what is expected. Valid values stay as they are.
void csimd_mend_openmp_environment(char *text, size_t size);

// Bytes of a worker's stack as the environment asks for them; libomp's default where it does not.
size_t csimd_openmp_stack_bytes(void);

#endif
