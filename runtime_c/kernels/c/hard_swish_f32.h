#ifndef ITG_HARD_SWISH_F32_H
#define ITG_HARD_SWISH_F32_H

#include <stdint.h>

/* out = in * clamp(in + 3, 0, 6) / 6; in and out may be the same buffer */
void itg_hard_swish_f32(const float *in, float *out, int32_t count);

#endif
