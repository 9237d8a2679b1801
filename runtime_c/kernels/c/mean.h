#ifndef ITG_MEAN_H
#define ITG_MEAN_H

#include <stdint.h>

#define ITG_MEAN_RANK 3

/* Neighbouring dimensions that are treated alike are one loop. Loops are listed outermost first, unused ones of size 1;
 * steps are in elements of the input. */
typedef struct {
    int32_t kept_size[ITG_MEAN_RANK], kept_step[ITG_MEAN_RANK]; /* over the outputs, in order */
    int32_t mean_size[ITG_MEAN_RANK], mean_step[ITG_MEAN_RANK]; /* over the inputs of one output */
    int32_t in_sum_offset; /* minus the input's zero point, times the inputs of one output */
    int32_t out_offset; /* the output's zero point */
    int32_t multiplier, shift; /* in_scale / out_scale / count */
} itg_mean_s8_params;

void itg_mean_s8(const int8_t *in, int8_t *out, const itg_mean_s8_params *p);

#endif
