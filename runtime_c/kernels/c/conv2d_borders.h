#ifndef ITG_CONV2D_BORDERS_H
#define ITG_CONV2D_BORDERS_H

#include <stdint.h>

#include "conv2d.h"

typedef itg_conv2d_s8_params itg_conv2d_borders_s8_params;

/* Like itg_conv2d_s8, with a bias that depends on where the output lies: output (y, x) takes the vector at
 * bias [row classes][column_classes][out_c] that row_class [out_h] and column_class [out_w] name. */
void itg_conv2d_borders_s8(const int8_t *in, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                           const int8_t *shift, int8_t *out, const itg_conv2d_borders_s8_params *p,
                           const uint8_t *row_class, const uint8_t *column_class, int32_t column_classes);

#endif
