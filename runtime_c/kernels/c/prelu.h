#ifndef ITG_PRELU_H
#define ITG_PRELU_H

#include <stdint.h>

#include "broadcast.h"

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    int32_t x_offset, alpha_offset; /* minus the zero points */
    int32_t out_offset; /* the output's zero point */
    int32_t multiplier, shift; /* of a positive x */
    int32_t alpha_multiplier, alpha_shift; /* of alpha * x */
} itg_prelu_s8_params;

/* out = x where it is positive, alpha * x elsewhere, alpha repeated as the steps say; out may be x */
void itg_prelu_s8(const int8_t *x, const int8_t *alpha, int8_t *out, const itg_prelu_s8_params *p);

#endif
