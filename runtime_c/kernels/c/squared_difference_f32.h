#ifndef ITG_SQUARED_DIFFERENCE_F32_H
#define ITG_SQUARED_DIFFERENCE_F32_H

#include <stdint.h>

#include "broadcast.h"

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
} itg_squared_difference_f32_params;

/* out = (a - b)^2, the inputs repeated as the steps say; out may be the input that is as large as it */
void itg_squared_difference_f32(const float *a, const float *b, float *out, const itg_squared_difference_f32_params *p);

#endif
