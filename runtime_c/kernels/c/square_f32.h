#ifndef ITG_SQUARE_F32_H
#define ITG_SQUARE_F32_H

#include <stdint.h>

/* out = in * in, at most FLT_MAX; in and out may be the same buffer */
void itg_square_f32(const float *in, float *out, int32_t count);

#endif
