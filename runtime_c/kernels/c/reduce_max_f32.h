#ifndef ITG_REDUCE_MAX_F32_H
#define ITG_REDUCE_MAX_F32_H

#include <stdint.h>

#include "mean.h"

/* Loops and steps as in itg_mean_s8_params. */
typedef struct {
    int32_t kept_size[ITG_MEAN_RANK], kept_step[ITG_MEAN_RANK];
    int32_t gone_size[ITG_MEAN_RANK], gone_step[ITG_MEAN_RANK]; /* over the inputs of one output */
    int32_t sign; /* 1 for the largest, -1 for the smallest */
} itg_reduce_max_f32_params;

/* out = the largest (or smallest) of the inputs of each output */
void itg_reduce_max_f32(const float *in, float *out, const itg_reduce_max_f32_params *p);

#endif
