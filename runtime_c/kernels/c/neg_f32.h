#ifndef ITG_NEG_F32_H
#define ITG_NEG_F32_H

#include <stdint.h>

/* out = -in; in and out may be the same buffer */
void itg_neg_f32(const float *in, float *out, int32_t count);

#endif
