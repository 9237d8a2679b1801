#ifndef ITG_DIV_F32_H
#define ITG_DIV_F32_H

#include <stdint.h>

#include "broadcast.h"

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    float out_min, out_max; /* what the fused activation leaves */
} itg_div_f32_params;

/* out = a / b, the inputs repeated as the steps say; out may be the input that is as large as it */
void itg_div_f32(const float *a, const float *b, float *out, const itg_div_f32_params *p);

#endif
