/* One output of a transposed convolution, and one output channel at all positions, from weights as int8. */
#ifndef ITG_TRANSPOSE_CONV_ROW_H
#define ITG_TRANSPOSE_CONV_ROW_H

#include <stdint.h>

#include "fixed.h"
#include "transpose_conv.h"

/* One output, gathered: input row iy reaches row y of the full result through kernel row ky where
 * y = iy * stride_h + ky. Gathering needs no buffer of 32-bit sums, which scattering would. */
static inline int32_t itg_transpose_conv_gather(const int8_t *in, const int8_t *filter, int32_t y, int32_t x,
                                                const itg_transpose_conv_s8_params *p)
{
    int32_t sum = 0;
    for (int32_t ky = y % p->stride_h; ky < p->kernel_h && ky <= y; ky += p->stride_h) {
        const int32_t iy = (y - ky) / p->stride_h;
        if (iy >= p->in_h) {
            continue;
        }
        for (int32_t kx = x % p->stride_w; kx < p->kernel_w && kx <= x; kx += p->stride_w) {
            const int32_t ix = (x - kx) / p->stride_w;
            if (ix >= p->in_w) {
                continue;
            }
            const int8_t *pixel = in + (iy * p->in_w + ix) * p->in_c;
            const int8_t *tap = filter + (ky * p->kernel_w + kx) * p->in_c;
            for (int32_t c = 0; c < p->in_c; c++) {
                sum += tap[c] * (pixel[c] + p->in_offset);
            }
        }
    }
    return sum;
}

/* row [kernel_h][kernel_w][in_c]; `out` at the channel's first output */
static inline void itg_transpose_conv_row(const int8_t *in, const int8_t *row, int32_t bias, int32_t multiplier,
                                          int32_t shift, int8_t *out, const itg_transpose_conv_s8_params *p)
{
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            int32_t sum = bias + itg_transpose_conv_gather(in, row, oy + p->cut_top, ox + p->cut_left, p);
            sum = itg_requantize(sum, multiplier, shift) + p->out_offset;
            *out = (int8_t)itg_clamp(sum, p->out_min, p->out_max);
            out += p->out_c;
        }
    }
}

#endif
