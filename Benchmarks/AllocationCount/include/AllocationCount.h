// Counts the calls of malloc and its relatives in the whole process.
#ifndef ALLOCATION_COUNT_H
#define ALLOCATION_COUNT_H

#include <stdint.h>

// Allocations so far, of all threads; always 0 where the C library is not glibc.
uint64_t allocation_count(void);

#endif
