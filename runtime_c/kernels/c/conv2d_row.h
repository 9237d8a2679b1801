/* One output channel of a 2-D convolution at all positions, from its weights as int8: what kernels do that first make
 * such a row out of weights stored in another way.
 *
 * The sum of weight * (input + in_offset) is taken apart: in_offset times the sum of the weights is the same wherever
 * the window lies wholly inside the input, so that it is added to the bias once. No partial sum is larger than what
 * was proven for the whole (ops/fixed.py): |in_offset| and |input| are both bounded as |input + in_offset| is. */
#ifndef ITG_CONV2D_ROW_H
#define ITG_CONV2D_ROW_H

#include <stdint.h>

#include "conv2d.h"
#include "fixed.h"
#include "taps.h"

static inline int32_t itg_conv2d_dot(const int8_t *in, const int8_t *weights, int32_t length, int32_t in_offset)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i++) {
        sum += weights[i] * (in[i] + in_offset);
    }
    return sum;
}

static inline int32_t itg_conv2d_weight_sum(const int8_t *weights, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; i++) {
        sum += weights[i];
    }
    return sum;
}

/* Of weights times (input + in_offset): `in` and `weights` point at the first of `rows` x `columns` taps. */
static inline int32_t itg_conv2d_products(const int8_t *in, const int8_t *weights, int32_t rows, int32_t columns,
                                          int32_t in_offset, const itg_conv2d_s8_params *p)
{
    const int32_t channels = p->group_in_c;
    /* From one tap to the next. A step beyond the input is never taken, and might not fit 32 bits. */
    const int32_t row_step = p->dilation_h < p->in_h ? p->dilation_h * p->in_w * p->in_c : 0;
    const int32_t column_step = p->dilation_w < p->in_w ? p->dilation_w * p->in_c : 0;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < rows; ky++) {
        const int8_t *row = in + ky * row_step;
        const int8_t *taps = weights + ky * p->kernel_w * channels;
        if (column_step == channels || columns == 1) {
            /* Neighbouring taps lie side by side in memory, as in the filter: one run a row. */
            sum += itg_conv2d_dot(row, taps, columns * channels, in_offset);
        } else {
            for (int32_t kx = 0; kx < columns; kx++) {
                sum += itg_conv2d_dot(row + kx * column_step, taps + kx * channels, channels, in_offset);
            }
        }
    }
    return sum;
}

/* The same of a whole window, from a list of `count` nonzeros: conv2d_nonzeros.h. */
static inline int32_t itg_conv2d_listed(const int8_t *in, const int16_t *list, int32_t count)
{
    int32_t sum = 0;
    for (const int16_t *const end = list + 2 * count; list != end; list += 2) {
        sum += list[1] * in[list[0]];
    }
    return sum;
}

/* row [kernel_h][kernel_w][group_in_c]; `in` at the first channel of the group, `out` at the channel's first output.
 * `list` has the row's nonzeros, `count` of them; with a negative count it is not looked at. */
static inline void itg_conv2d_row(const int8_t *in, const int8_t *row, const int16_t *list, int32_t count, int32_t bias,
                                  int32_t multiplier, int32_t shift, int8_t *out, const itg_conv2d_s8_params *p)
{
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_in_c;
    const int32_t whole = bias + p->in_offset * itg_conv2d_weight_sum(row, filter_size);
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        const int32_t y0 = oy * p->stride_h - p->pad_top;
        const itg_taps ky = itg_taps_inside(y0, p->kernel_h, p->dilation_h, p->in_h);
        const int32_t rows = ky.end - ky.first;
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            int32_t sum;
            if (rows == p->kernel_h && x0 >= 0 && x0 + (p->kernel_w - 1) * p->dilation_w < p->in_w) {
                const int8_t *window = in + (y0 * p->in_w + x0) * p->in_c;
                sum = whole;
                sum += count < 0 ? itg_conv2d_products(window, row, rows, p->kernel_w, 0, p)
                                 : itg_conv2d_listed(window, list, count);
            } else {
                const itg_taps kx = itg_taps_inside(x0, p->kernel_w, p->dilation_w, p->in_w);
                const int32_t columns = kx.end - kx.first;
                sum = bias;
                if (rows > 0 && columns > 0) {
                    const int32_t y = ky.first * p->dilation_h + y0;
                    const int32_t x = kx.first * p->dilation_w + x0;
                    const int8_t *taps = row + (ky.first * p->kernel_w + kx.first) * p->group_in_c;
                    sum += itg_conv2d_products(in + (y * p->in_w + x) * p->in_c, taps, rows, columns, p->in_offset, p);
                }
            }
            sum = itg_requantize(sum, multiplier, shift) + p->out_offset;
            *out = (int8_t)itg_clamp(sum, p->out_min, p->out_max);
            out += p->out_c;
        }
    }
}

#endif
