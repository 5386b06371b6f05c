// The quota of CPU time that the process has, for the default number of threads.
#ifndef CSIMD_LIMITS_H
#define CSIMD_LIMITS_H

#include "internal.h"

// CPUs that the quota of this process's control groups allows, rounded up; 0: there is none. Read once.
int csimd_quota_cpus(void);

#endif
