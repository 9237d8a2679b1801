#ifndef ITG_RELU_F32_H
#define ITG_RELU_F32_H

#include <stdint.h>

/* out = in, clamped to low..high; in and out may be the same buffer */
void itg_relu_f32(const float *in, float low, float high, float *out, int32_t count);

#endif
