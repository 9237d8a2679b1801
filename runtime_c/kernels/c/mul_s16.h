#ifndef ITG_MUL_S16_H
#define ITG_MUL_S16_H

#include <stdint.h>

#include "broadcast.h"

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    int32_t multiplier, shift;
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_mul_s16_params;

/* out = a * b, the inputs repeated as the steps say; out may be the input that is as large as it */
void itg_mul_s16(const int16_t *a, const int16_t *b, int16_t *out, const itg_mul_s16_params *p);

#endif
