#ifndef ITG_MEAN_S16_H
#define ITG_MEAN_S16_H

#include <stdint.h>

#include "mean.h"

/* Loops and steps as in itg_mean_s8_params. */
typedef struct {
    int32_t kept_size[ITG_MEAN_RANK], kept_step[ITG_MEAN_RANK];
    int32_t mean_size[ITG_MEAN_RANK], mean_step[ITG_MEAN_RANK];
    int32_t multiplier, shift; /* in_scale / out_scale / count */
} itg_mean_s16_params;

void itg_mean_s16(const int16_t *in, int16_t *out, const itg_mean_s16_params *p);

#endif
