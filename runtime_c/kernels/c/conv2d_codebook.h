#ifndef ITG_CONV2D_CODEBOOK_H
#define ITG_CONV2D_CODEBOOK_H

#include <stdint.h>

#include "conv2d.h"

/* Like itg_conv2d_s8 with weights as indices into tables of values (codebook.h), a filter a row. row [kernel_h *
 * kernel_w * group_in_c] is scratch: a filter is decoded once, for all positions. */
void itg_conv2d_codebook(const int8_t *in, const uint8_t *tables, const uint16_t *stream, const int32_t *bias,
                         const int32_t *multiplier, const int8_t *shift, int8_t *out, int8_t *row,
                         const itg_conv2d_s8_params *p);

#endif
