// OpenBLAS by its C interface: float64 GEMM and what the doctor prints.
#include <cblas.h>
