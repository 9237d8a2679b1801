#ifndef ITG_MEAN_F32_H
#define ITG_MEAN_F32_H

#include <stdint.h>

#include "mean.h"

/* Loops and steps as in itg_mean_s8_params. */
typedef struct {
    int32_t kept_size[ITG_MEAN_RANK], kept_step[ITG_MEAN_RANK];
    int32_t mean_size[ITG_MEAN_RANK], mean_step[ITG_MEAN_RANK];
    float count; /* inputs of one output */
} itg_mean_f32_params;

void itg_mean_f32(const float *in, float *out, const itg_mean_f32_params *p);

#endif
