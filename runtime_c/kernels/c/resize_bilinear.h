#ifndef ITG_RESIZE_BILINEAR_H
#define ITG_RESIZE_BILINEAR_H

#include <stdint.h>

/* Positions between pixels are in 1 / 2^this. */
#define ITG_RESIZE_BILINEAR_BITS 10

typedef struct {
    int32_t out_h, out_w;
    int32_t in_w, channels;
    const int16_t *row_low, *row_high, *row_weight; /* [out_h]: the input rows around it, the weight of the second */
    const int16_t *column_low, *column_high, *column_weight; /* [out_w] */
} itg_resize_bilinear_s8_params;

/* in [h][in_w][channels], out [out_h][out_w][channels]: the weighted mean of four input pixels, rounded half away from
 * zero. Both are quantized alike. */
void itg_resize_bilinear_s8(const int8_t *in, int8_t *out, const itg_resize_bilinear_s8_params *p);

#endif
