// libpng, simplified interface: images given to `needletail predict`.
#include <png.h>
