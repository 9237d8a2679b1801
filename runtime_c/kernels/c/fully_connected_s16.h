#ifndef ITG_FULLY_CONNECTED_S16_H
#define ITG_FULLY_CONNECTED_S16_H

#include <stdint.h>

typedef struct {
    int32_t rows, in_c, out_c;
    int32_t multiplier_step; /* 1: a multiplier per output channel; 0: the first serves them all */
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_fully_connected_s16_params;

/* in [rows][in_c], weights [out_c][in_c], bias [out_c] or NULL, multiplier and shift [out_c] or [1], out [rows][out_c] */
void itg_fully_connected_s16(const int16_t *in, const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                             const int8_t *shift, int16_t *out, const itg_fully_connected_s16_params *p);

#endif
