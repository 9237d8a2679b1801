#ifndef ITG_DEPTHWISE_CONV2D_S16_H
#define ITG_DEPTHWISE_CONV2D_S16_H

#include <stdint.h>

typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w;
    int32_t multiplier; /* filters per input channel: out_c is in_c * multiplier */
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t dilation_h, dilation_w;
    int32_t pad_top, pad_left;
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_depthwise_conv2d_s16_params;

/* in [in_h][in_w][in_c], weights [kernel_h][kernel_w][out_c], bias [out_c] or NULL, multiplier and shift [out_c],
 * out [out_h][out_w][out_c] */
void itg_depthwise_conv2d_s16(const int16_t *in, const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                              const int8_t *shift, int16_t *out, const itg_depthwise_conv2d_s16_params *p);

#endif
