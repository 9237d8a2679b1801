#ifndef ITG_CONV2D_HUFFMAN_H
#define ITG_CONV2D_HUFFMAN_H

#include <stdint.h>

#include "conv2d.h"

/* Like itg_conv2d_s8 with weights as Huffman codes (huffman.h), a filter a row. row [kernel_h * kernel_w *
 * group_in_c] is scratch: a filter is decoded once, for all positions. So is
 * list, int16 [2 * list_size + kernel_h * kernel_w + 1] or NULL: what conv2d_nonzeros.h makes of it, for filters with at
 * most list_size nonzeros; others go without. */
void itg_conv2d_huffman(const int8_t *in, const uint8_t *tables, const uint16_t *stream, const int32_t *bias,
                        const int32_t *multiplier, const int8_t *shift, int8_t *out, int8_t *row, int16_t *list,
                        int32_t list_size, const itg_conv2d_s8_params *p);

#endif
