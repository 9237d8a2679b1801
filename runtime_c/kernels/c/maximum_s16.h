#ifndef ITG_MAXIMUM_S16_H
#define ITG_MAXIMUM_S16_H

#include <stdint.h>

#include "broadcast.h"

typedef struct {
    int32_t size[ITG_BROADCAST_LOOPS], step_a[ITG_BROADCAST_LOOPS], step_b[ITG_BROADCAST_LOOPS];
    int32_t sign; /* 1 for the larger of the two, -1 for the smaller */
} itg_maximum_s16_params;

/* out = the larger (or smaller) of a and b, repeated as the steps say; out may be the input that is as large as it */
void itg_maximum_s16(const int16_t *a, const int16_t *b, int16_t *out, const itg_maximum_s16_params *p);

#endif
