#ifndef ITG_ADD_H
#define ITG_ADD_H

#include <stdint.h>

#include "broadcast.h"

/* Bits by which inputs are shifted left before they are scaled. */
#define ITG_ADD_HEADROOM 20

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    int32_t sign_b; /* 1 adds b, -1 subtracts it */
    int32_t a_offset, a_multiplier, a_shift; /* offsets are minus the zero points */
    int32_t b_offset, b_multiplier, b_shift;
    int32_t out_multiplier, out_shift;
    int32_t out_offset; /* the output's zero point */
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_add_s8_params;

/* out = a + sign_b * b, the inputs repeated as the steps say; out may be the input that is as large as it */
void itg_add_s8(const int8_t *a, const int8_t *b, int8_t *out, const itg_add_s8_params *p);

#endif
