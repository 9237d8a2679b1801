#ifndef ITG_TRANSPOSE_CONV_S16_H
#define ITG_TRANSPOSE_CONV_S16_H

#include <stdint.h>

typedef struct {
    int32_t in_h, in_w, in_c;
    int32_t out_h, out_w, out_c;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t cut_top, cut_left; /* rows and columns of the full result that the output leaves out */
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_transpose_conv_s16_params;

/* in [in_h][in_w][in_c], weights [out_c][kernel_h][kernel_w][in_c], bias [out_c] or NULL, multiplier and shift [out_c],
 * out [out_h][out_w][out_c] */
void itg_transpose_conv_s16(const int16_t *in, const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                            const int8_t *shift, int16_t *out, const itg_transpose_conv_s16_params *p);

#endif
