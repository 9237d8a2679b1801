#ifndef ITG_SCALE_H
#define ITG_SCALE_H

#include <stdint.h>

/* to[i] = in[i] * weights[i] / 16, towards minus infinity */
void itg_scale_s8(const int8_t *in, const int8_t *weights, int32_t n, int8_t *to);

#endif
