#ifndef ITG_GELU_F32_H
#define ITG_GELU_F32_H

#include <stdint.h>

/* out = in times the normal distribution's cumulative function, by erfc, or by tanh where `approximate` is not 0; in
 * and out may be the same buffer */
void itg_gelu_f32(const float *in, int32_t approximate, float *out, int32_t count);

#endif
