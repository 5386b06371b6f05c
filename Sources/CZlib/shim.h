// zlib: gzip files of the datasets and their CRC-32.
#include <zlib.h>
