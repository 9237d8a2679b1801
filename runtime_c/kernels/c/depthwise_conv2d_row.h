/* One output channel of a depthwise convolution at all positions, from its taps as int8: the counterpart of
 * conv2d_row.h, whose remark on sums holds here too. */
#ifndef ITG_DEPTHWISE_CONV2D_ROW_H
#define ITG_DEPTHWISE_CONV2D_ROW_H

#include <stdint.h>

#include "depthwise_conv2d.h"
#include "fixed.h"
#include "taps.h"

static inline int32_t itg_depthwise_weight_sum(const int8_t *taps, int32_t rows, int32_t columns, int32_t kernel_w)
{
    int32_t sum = 0;
    for (int32_t ky = 0; ky < rows; ky++) {
        for (int32_t kx = 0; kx < columns; kx++) {
            sum += taps[ky * kernel_w + kx];
        }
    }
    return sum;
}

/* Of weights times inputs: `in` and `taps` point at the first of `rows` x `columns` taps. */
static inline int32_t itg_depthwise_products(const int8_t *in, const int8_t *taps, int32_t rows, int32_t columns,
                                             const itg_depthwise_conv2d_s8_params *p)
{
    /* From one tap to the next. A step beyond the input is never taken, and might not fit 32 bits. */
    const int32_t column_step = p->dilation_w < p->in_w ? p->dilation_w * p->in_c : 0;
    const int32_t row_step = p->dilation_h < p->in_h ? p->dilation_h * p->in_w * p->in_c : 0;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < rows; ky++) {
        int32_t at = ky * row_step;
        for (int32_t kx = 0; kx < columns; kx++, at += column_step) {
            sum += taps[ky * p->kernel_w + kx] * in[at];
        }
    }
    return sum;
}

/* row [kernel_h][kernel_w]; `in` at the input channel, `out` at the output channel of the first position */
static inline void itg_depthwise_conv2d_row(const int8_t *in, const int8_t *row, int32_t bias, int32_t multiplier,
                                            int32_t shift, int8_t *out, const itg_depthwise_conv2d_s8_params *p)
{
    const int32_t whole = bias + p->in_offset * itg_depthwise_weight_sum(row, p->kernel_h, p->kernel_w, p->kernel_w);
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        const int32_t y0 = oy * p->stride_h - p->pad_top;
        const itg_taps ky = itg_taps_inside(y0, p->kernel_h, p->dilation_h, p->in_h);
        const int32_t rows = ky.end - ky.first;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            int32_t sum;
            if (rows == p->kernel_h && x0 >= 0 && x0 + (p->kernel_w - 1) * p->dilation_w < p->in_w) {
                sum = whole + itg_depthwise_products(in + (y0 * p->in_w + x0) * p->in_c, row, rows, p->kernel_w, p);
            } else {
                const itg_taps kx = itg_taps_inside(x0, p->kernel_w, p->dilation_w, p->in_w);
                const int32_t columns = kx.end - kx.first;
                sum = bias;
                if (rows > 0 && columns > 0) {
                    const int32_t y = ky.first * p->dilation_h + y0;
                    const int32_t x = kx.first * p->dilation_w + x0;
                    const int8_t *taps = row + ky.first * p->kernel_w + kx.first;
                    sum += p->in_offset * itg_depthwise_weight_sum(taps, rows, columns, p->kernel_w);
                    sum += itg_depthwise_products(in + (y * p->in_w + x) * p->in_c, taps, rows, columns, p);
                }
            }
            sum = itg_requantize(sum, multiplier, shift) + p->out_offset;
            *out = (int8_t)itg_clamp(sum, p->out_min, p->out_max);
            out += p->in_c * p->multiplier;
        }
    }
}

#endif
