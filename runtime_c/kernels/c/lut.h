#ifndef ITG_LUT_H
#define ITG_LUT_H

#include <stdint.h>

/* out[i] = table[in[i]] for `count` bytes, signed ones taken as their bit pattern; table [256]. out may be in. */
void itg_lut_8(const void *in, const uint8_t *table, void *out, int32_t count);

#endif
