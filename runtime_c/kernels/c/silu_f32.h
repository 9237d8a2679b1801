#ifndef ITG_SILU_F32_H
#define ITG_SILU_F32_H

#include <stdint.h>

/* out = in / (1 + exp(-in)); in and out may be the same buffer */
void itg_silu_f32(const float *in, float *out, int32_t count);

#endif
