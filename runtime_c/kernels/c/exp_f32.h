#ifndef ITG_EXP_F32_H
#define ITG_EXP_F32_H

#include <stdint.h>

/* out = e to the power of in, at most FLT_MAX; in and out may be the same buffer */
void itg_exp_f32(const float *in, float *out, int32_t count);

#endif
