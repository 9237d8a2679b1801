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

/* From one tap to the next, in elements of the input. A step beyond it is never taken, and might not fit 32 bits. */
static inline int32_t itg_conv2d_row_step(const itg_conv2d_s8_params *p)
{
    return p->dilation_h < p->in_h ? p->dilation_h * p->in_w * p->in_c : 0;
}

static inline int32_t itg_conv2d_column_step(const itg_conv2d_s8_params *p)
{
    return p->dilation_w < p->in_w ? p->dilation_w * p->in_c : 0;
}

/* Sum of weights times (input + in_offset): `in` and `weights` point at the first of `rows` x `columns` taps. */
static inline int32_t itg_conv2d_products(const int8_t *in, const int8_t *weights, int32_t rows, int32_t columns,
                                          int32_t in_offset, const itg_conv2d_s8_params *p)
{
    const int32_t channels = p->group_in_c;
    const int32_t row_step = itg_conv2d_row_step(p);
    const int32_t column_step = itg_conv2d_column_step(p);
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

/* The sum over the taps ky x kx alone, which lie inside the input; tap 0 of the window lies at y0, x0. */
static inline int32_t itg_conv2d_border(const int8_t *in, const int8_t *row, int32_t y0, int32_t x0, itg_taps ky,
                                        itg_taps kx, const itg_conv2d_s8_params *p)
{
    const int32_t y = ky.first * p->dilation_h + y0;
    const int32_t x = kx.first * p->dilation_w + x0;
    const int8_t *taps = row + (ky.first * p->kernel_w + kx.first) * p->group_in_c;
    return itg_conv2d_products(in + (y * p->in_w + x) * p->in_c, taps, ky.end - ky.first, kx.end - kx.first,
                               p->in_offset, p);
}

/* Sum of nonzeros first..end-1 of a list (conv2d_nonzeros.h) times (input + in_offset); tap 0 of the window lies at
 * in[at], which may be before the input, where none of these lies. */
static inline int32_t itg_conv2d_listed(const int8_t *in, int32_t at, const int16_t *list, int32_t first, int32_t end,
                                        int32_t in_offset)
{
    int32_t sum = 0;
    for (int32_t i = first; i < end; i++) {
        sum += list[2 * i + 1] * (in[at + list[2 * i]] + in_offset);
    }
    return sum;
}

/* The sum over the taps ky x kx alone from a list that was made for `size` nonzeros: those of a row of the kernel follow
 * each other there. */
static inline int32_t itg_conv2d_listed_border(const int8_t *in, int32_t y0, int32_t x0, itg_taps ky, itg_taps kx,
                                               const int16_t *list, int32_t size, const itg_conv2d_s8_params *p)
{
    const int16_t *const before = list + 2 * size;
    /* Where there is a list windows fit inside: no step is beyond the input. */
    const int32_t at = (y0 * p->in_w + x0) * p->in_c;
    int32_t sum = 0;
    for (int32_t k = ky.first; k < ky.end; k++) {
        const int16_t *const taps = before + k * p->kernel_w;
        sum += itg_conv2d_listed(in, at, list, taps[kx.first], taps[kx.end], p->in_offset);
    }
    return sum;
}

/* Neighbouring windows that are summed at once: each nonzero is read once for them all. */
#define ITG_CONV2D_WINDOWS 4

/* Sums of the windows at `in` and at each `step` from there: `whole` and the products of the list, without in_offset. */
static inline void itg_conv2d_listed_windows(const int8_t *in, int32_t step, const int16_t *list, int32_t count,
                                             int32_t whole, int32_t sums[ITG_CONV2D_WINDOWS])
{
    int32_t sum0 = whole;
    int32_t sum1 = whole;
    int32_t sum2 = whole;
    int32_t sum3 = whole;
    for (const int16_t *const end = list + 2 * count; list != end; list += 2) {
        const int32_t weight = list[1];
        const int8_t *at = in + list[0];
        sum0 += weight * *at;
        at += step;
        sum1 += weight * *at;
        at += step;
        sum2 += weight * *at;
        at += step;
        sum3 += weight * *at;
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

/* row [kernel_h][kernel_w][group_in_c]; `in` at the first channel of the group, `out` at the channel's first output.
 * `list`, made for `size` nonzeros (conv2d_nonzeros.h), has `count` of them; with a negative count it is not looked at. */
static inline void itg_conv2d_row(const int8_t *in, const int8_t *row, const int16_t *list, int32_t size, int32_t count,
                                  int32_t bias, int32_t multiplier, int32_t shift, int8_t *out,
                                  const itg_conv2d_s8_params *p)
{
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_in_c;
    int32_t at = 0;
    const int32_t whole = bias + p->in_offset * itg_conv2d_weight_sum(row, filter_size);
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        const int32_t y0 = oy * p->stride_h - p->pad_top;
        const itg_taps ky = itg_taps_inside(y0, p->kernel_h, p->dilation_h, p->in_h);
        const int32_t rows = ky.end - ky.first;
        for (int32_t ox = 0; ox < p->out_w;) {
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            const int32_t last = x0 + (p->kernel_w - 1) * p->dilation_w;
            int32_t sums[ITG_CONV2D_WINDOWS];
            int32_t windows = 1;
            if (rows == p->kernel_h && x0 >= 0 && last < p->in_w) {
                const int8_t *window = in + (y0 * p->in_w + x0) * p->in_c;
                if (count < 0) {
                    sums[0] = whole + itg_conv2d_products(window, row, rows, p->kernel_w, 0, p);
                } else if (last + (ITG_CONV2D_WINDOWS - 1) * p->stride_w < p->in_w) {
                    /* Every window that lies inside is an output. */
                    windows = ITG_CONV2D_WINDOWS;
                    itg_conv2d_listed_windows(window, p->stride_w * p->in_c, list, count, whole, sums);
                } else {
                    sums[0] = whole + itg_conv2d_listed(window, 0, list, 0, count, 0);
                }
            } else {
                const itg_taps kx = itg_taps_inside(x0, p->kernel_w, p->dilation_w, p->in_w);
                sums[0] = bias;
                if (rows > 0 && kx.end > kx.first) {
                    sums[0] += count < 0 ? itg_conv2d_border(in, row, y0, x0, ky, kx, p)
                                         : itg_conv2d_listed_border(in, y0, x0, ky, kx, list, size, p);
                }
            }
            for (int32_t i = 0; i < windows; i++) {
                const int32_t y = itg_requantize(sums[i], multiplier, shift) + p->out_offset;
                out[at] = (int8_t)itg_clamp(y, p->out_min, p->out_max);
                at += p->out_c;
            }
            ox += windows;
        }
    }
}

#endif
