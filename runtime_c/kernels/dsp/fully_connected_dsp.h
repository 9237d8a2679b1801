#ifndef ITG_FULLY_CONNECTED_DSP_H
#define ITG_FULLY_CONNECTED_DSP_H

#include <stdint.h>

#define ITG_FULLY_CONNECTED_DSP_CHANNELS 4 /* output channels that are computed together */

typedef struct {
    int32_t rows, in_c, out_c;
    int32_t multiplier_step; /* 1: a multiplier per output channel; 0: the first serves them all */
    int32_t out_offset; /* the output's zero point */
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_fully_connected_dsp_params;

/* in [rows][in_c], out [rows][out_c]; multiplier and shift [out_c] or [1].
 *
 * pairs [out_c / 4][in_c / 4][2][2], both rounded up: a word for channels 0 and 1, then one for 2 and 3, of each four,
 * for inputs 0 and 2, then 1 and 3, of each four. Each half of a word holds 256 * A + B of its two channels. What is
 * beyond in_c and out_c is 0. sums [out_c]: the bias, less the weights' sum times the input's zero point. */
void itg_fully_connected_dsp(const int8_t *in, const uint32_t *pairs, const int32_t *sums, const int32_t *multiplier,
                             const int8_t *shift, int8_t *out, const itg_fully_connected_dsp_params *p);

#endif
