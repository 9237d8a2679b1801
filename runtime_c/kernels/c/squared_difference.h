#ifndef ITG_SQUARED_DIFFERENCE_H
#define ITG_SQUARED_DIFFERENCE_H

#include <stdint.h>

#include "broadcast.h"

/* Bits by which inputs are shifted left before they are scaled. */
#define ITG_SQUARED_DIFFERENCE_HEADROOM 7

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    int32_t a_offset, a_multiplier, a_shift; /* offsets are minus the zero points */
    int32_t b_offset, b_multiplier, b_shift;
    int32_t out_multiplier, out_shift;
    int32_t out_offset; /* the output's zero point */
} itg_squared_difference_s8_params;

/* out = (a - b)^2, the inputs repeated as the steps say; out may be the input that is as large as it */
void itg_squared_difference_s8(const int8_t *a, const int8_t *b, int8_t *out,
                               const itg_squared_difference_s8_params *p);

#endif
