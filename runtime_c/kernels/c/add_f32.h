#ifndef ITG_ADD_F32_H
#define ITG_ADD_F32_H

#include <stdint.h>

#include "broadcast.h"

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    float sign_b; /* 1 adds b, -1 subtracts it */
    float out_min, out_max; /* what the fused activation leaves */
} itg_add_f32_params;

/* out = a + sign_b * b, the inputs repeated as the steps say; out may be the input that is as large as it */
void itg_add_f32(const float *a, const float *b, float *out, const itg_add_f32_params *p);

#endif
