#ifndef ITG_ABS_F32_H
#define ITG_ABS_F32_H

#include <stdint.h>

/* out = the magnitude of in; in and out may be the same buffer */
void itg_abs_f32(const float *in, float *out, int32_t count);

#endif
