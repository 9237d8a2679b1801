#ifndef ITG_SQRT_F32_H
#define ITG_SQRT_F32_H

#include <stdint.h>

/* out = the square root of in; in and out may be the same buffer */
void itg_sqrt_f32(const float *in, float *out, int32_t count);

#endif
