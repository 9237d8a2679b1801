#ifndef ITG_LEAKY_RELU_F32_H
#define ITG_LEAKY_RELU_F32_H

#include <stdint.h>

/* out = in where it is positive, alpha * in elsewhere; in and out may be the same buffer */
void itg_leaky_relu_f32(const float *in, float alpha, float *out, int32_t count);

#endif
