#ifndef ITG_LAYER_NORM_F32_H
#define ITG_LAYER_NORM_F32_H

#include <stdint.h>

typedef struct {
    int32_t rows, row_size;
    float epsilon;
} itg_layer_norm_f32_params;

/* As itg_layer_norm_s8. */
void itg_layer_norm_f32(const float *in, const float *scale, const float *offset, float *out,
                        const itg_layer_norm_f32_params *p);

#endif
