#ifndef ITG_FULLY_CONNECTED_F32_H
#define ITG_FULLY_CONNECTED_F32_H

#include <stdint.h>

typedef struct {
    int32_t rows, in_c, out_c;
    float out_min, out_max; /* what the fused activation leaves */
} itg_fully_connected_f32_params;

/* in [rows][in_c], weights [out_c][in_c], bias [out_c] or NULL, out [rows][out_c] */
void itg_fully_connected_f32(const float *in, const float *weights, const float *bias, float *out,
                             const itg_fully_connected_f32_params *p);

#endif
