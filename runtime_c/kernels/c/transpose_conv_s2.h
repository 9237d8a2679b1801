#ifndef ITG_TRANSPOSE_CONV_S2_H
#define ITG_TRANSPOSE_CONV_S2_H

#include <stdint.h>

#include "transpose_conv.h"

/* Like itg_transpose_conv_s8 with weights of 2 bits: weights [out_c][bytes], a channel's [kernel_h][kernel_w][in_c]
 * from a byte on; row [kernel_h * kernel_w * in_c] is scratch. Each channel is unpacked once, for all positions. */
void itg_transpose_conv_s2(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
                           const int8_t *shift, int8_t *out, int8_t *row, const itg_transpose_conv_s8_params *p);

#endif
