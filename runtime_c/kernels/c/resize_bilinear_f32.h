#ifndef ITG_RESIZE_BILINEAR_F32_H
#define ITG_RESIZE_BILINEAR_F32_H

#include <stdint.h>

/* As itg_resize_bilinear_s8_params. */
typedef struct {
    int32_t out_h, out_w;
    int32_t in_w, channels;
    const int16_t *row_low, *row_high;
    const float *row_weight;
    const int16_t *column_low, *column_high;
    const float *column_weight;
} itg_resize_bilinear_f32_params;

/* in [h][in_w][channels], out [out_h][out_w][channels] */
void itg_resize_bilinear_f32(const float *in, float *out, const itg_resize_bilinear_f32_params *p);

#endif
