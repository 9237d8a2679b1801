#ifndef ITG_LOG_F32_H
#define ITG_LOG_F32_H

#include <stdint.h>

/* out = the natural logarithm of in; of zero, -FLT_MAX; in and out may be the same buffer */
void itg_log_f32(const float *in, float *out, int32_t count);

#endif
