#ifndef ITG_TANH_F32_H
#define ITG_TANH_F32_H

#include <stdint.h>

/* out = tanh(in); in and out may be the same buffer */
void itg_tanh_f32(const float *in, float *out, int32_t count);

#endif
