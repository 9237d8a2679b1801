#ifndef ITG_ADD_S16_H
#define ITG_ADD_S16_H

#include <stdint.h>

#include "broadcast.h"

/* Bits by which inputs are shifted left before they are scaled. */
#define ITG_ADD_S16_HEADROOM 15

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    int32_t sign_b; /* 1 adds b, -1 subtracts it */
    int32_t a_multiplier, a_shift;
    int32_t b_multiplier, b_shift;
    int32_t out_multiplier, out_shift;
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_add_s16_params;

/* out = a + sign_b * b, the inputs repeated as the steps say; out may be the input that is as large as it */
void itg_add_s16(const int16_t *a, const int16_t *b, int16_t *out, const itg_add_s16_params *p);

#endif
