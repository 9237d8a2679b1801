#ifndef ITG_LOGISTIC_F32_H
#define ITG_LOGISTIC_F32_H

#include <stdint.h>

/* out = 1 / (1 + e^-in); in and out may be the same buffer */
void itg_logistic_f32(const float *in, float *out, int32_t count);

#endif
