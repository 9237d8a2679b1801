#ifndef ITG_CONV2D_S2_H
#define ITG_CONV2D_S2_H

#include <stdint.h>

#include "conv2d.h"

/* Like itg_conv2d_s8 with weights of 2 bits: weights [out_c][bytes], a channel's [kernel_h][kernel_w][group_in_c]
 * from a byte on; row [kernel_h * kernel_w * group_in_c] is scratch: a channel is unpacked once, for all positions. */
void itg_conv2d_s2(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
                   const int8_t *shift, int8_t *out, int8_t *row, const itg_conv2d_s8_params *p);

#endif
