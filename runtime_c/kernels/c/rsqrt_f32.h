#ifndef ITG_RSQRT_F32_H
#define ITG_RSQRT_F32_H

#include <stdint.h>

/* out = 1 / the square root of in, at most FLT_MAX; in and out may be the same buffer */
void itg_rsqrt_f32(const float *in, float *out, int32_t count);

#endif
