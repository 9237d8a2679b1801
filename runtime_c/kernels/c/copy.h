#ifndef ITG_COPY_H
#define ITG_COPY_H

#include <stdint.h>

/* Copies `bytes` bytes; the buffers do not overlap. */
void itg_copy(const void *in, void *out, int32_t bytes);

#endif
