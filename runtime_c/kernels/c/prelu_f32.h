#ifndef ITG_PRELU_F32_H
#define ITG_PRELU_F32_H

#include <stdint.h>

#include "broadcast.h"

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
} itg_prelu_f32_params;

/* out = x where it is positive, alpha * x elsewhere, alpha repeated as the steps say; out may be x */
void itg_prelu_f32(const float *x, const float *alpha, float *out, const itg_prelu_f32_params *p);

#endif
