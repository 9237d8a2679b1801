#ifndef ITG_FULLY_CONNECTED_H
#define ITG_FULLY_CONNECTED_H

#include <stdint.h>

typedef struct {
    int32_t rows, in_c, out_c;
    int32_t multiplier_step; /* 1: a multiplier per output channel; 0: the first serves them all */
    int32_t in_offset; /* minus the input's zero point */
    int32_t out_offset; /* the output's zero point */
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_fully_connected_s8_params;

/* in [rows][in_c], weights [out_c][in_c], bias [out_c] or NULL, multiplier and shift [out_c] or [1], out [rows][out_c] */
void itg_fully_connected_s8(const int8_t *in, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                            const int8_t *shift, int8_t *out, const itg_fully_connected_s8_params *p);

#endif
