#ifndef ITG_FILL_H
#define ITG_FILL_H

#include <stdint.h>

/* Sets `count` elements of 1, 2 or 4 bytes to `value`. */
void itg_fill(void *out, int32_t count, int32_t element_bytes, int32_t value);

#endif
