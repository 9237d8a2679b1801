#ifndef ITG_ELU_F32_H
#define ITG_ELU_F32_H

#include <stdint.h>

/* out = in where it is positive, alpha * (exp(in) - 1) elsewhere; in and out may be the same buffer */
void itg_elu_f32(const float *in, float alpha, float *out, int32_t count);

#endif
