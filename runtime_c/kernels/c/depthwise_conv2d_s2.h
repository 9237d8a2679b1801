#ifndef ITG_DEPTHWISE_CONV2D_S2_H
#define ITG_DEPTHWISE_CONV2D_S2_H

#include <stdint.h>

#include "depthwise_conv2d.h"

/* Like itg_depthwise_conv2d_s8 with weights of 2 bits: [kernel_h][kernel_w][out_c] packed as one row, for a channel
 * has few taps, and would waste much of its last byte. They lie scattered, but each is unpacked only once, into the
 * scratch row [kernel_h * kernel_w], for all positions. */
void itg_depthwise_conv2d_s2(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
                             const int8_t *shift, int8_t *out, int8_t *row, const itg_depthwise_conv2d_s8_params *p);

#endif
