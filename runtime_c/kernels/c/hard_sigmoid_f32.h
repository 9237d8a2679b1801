#ifndef ITG_HARD_SIGMOID_F32_H
#define ITG_HARD_SIGMOID_F32_H

#include <stdint.h>

/* out = alpha * in + beta, between 0 and 1; in and out may be the same buffer */
void itg_hard_sigmoid_f32(const float *in, float alpha, float beta, float *out, int32_t count);

#endif
