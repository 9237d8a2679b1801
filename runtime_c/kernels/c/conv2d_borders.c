#include "conv2d_borders.h"

#include "conv2d.h"

/* Outputs of one class that lie one behind the other are a convolution of their own, by the kernel there is. */
void itg_conv2d_borders_s8(const int8_t *in, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                           const int8_t *shift, int8_t *out, const itg_conv2d_borders_s8_params *p,
                           const uint8_t *row_class, const uint8_t *column_class, int32_t column_classes)
{
    itg_conv2d_s8_params part = *p;
    for (int32_t oy = 0; oy < p->out_h; oy += part.out_h) {
        int32_t rows = 1;
        /* Rows follow each other in memory where a part is as wide as they are. */
        while (column_classes == 1 && oy + rows < p->out_h && row_class[oy + rows] == row_class[oy]) {
            rows++;
        }
        part.out_h = rows;
        part.pad_top = p->pad_top - oy * p->stride_h;
        for (int32_t ox = 0; ox < p->out_w; ox += part.out_w) {
            int32_t columns = 1;
            while (ox + columns < p->out_w && column_class[ox + columns] == column_class[ox]) {
                columns++;
            }
            part.out_w = columns;
            part.pad_left = p->pad_left - ox * p->stride_w;
            itg_conv2d_s8(in, weights, bias + (row_class[oy] * column_classes + column_class[ox]) * p->out_c,
                          multiplier, shift, out, &part);
            out += rows * columns * p->out_c;
        }
    }
}
