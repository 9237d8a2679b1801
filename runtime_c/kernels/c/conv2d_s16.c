#include "conv2d_s16.h"

#include <stddef.h>

#include "taps.h"
#include "wide.h"

/* One output without its bias: `in` and `filter` point at the first tap inside the input, which has `rows` x `columns`
 * of them. */
static int64_t window_sum(const int16_t *in, const int8_t *filter, int32_t rows, int32_t columns,
                          const itg_conv2d_s16_params *p)
{
    const int32_t channels = p->group_in_c;
    /* From one tap to the next. A step beyond the input is never taken, and might not fit 32 bits. */
    const int32_t row_step = p->dilation_h < p->in_h ? p->dilation_h * p->in_w * p->in_c : 0;
    const int32_t column_step = p->dilation_w < p->in_w ? p->dilation_w * p->in_c : 0;
    /* Neighbouring taps that lie side by side in memory, as in the filter, are one run a row. */
    const int32_t run = column_step == channels ? columns * channels : channels;
    const int32_t runs = column_step == channels ? 1 : columns;
    int64_t sum = 0;
    for (int32_t ky = 0; ky < rows; ky++) {
        const int16_t *row = in + ky * row_step;
        const int8_t *taps = filter + ky * p->kernel_w * channels;
        for (int32_t kx = 0; kx < runs; kx++) {
            sum += itg_wide_dot(row + kx * column_step, taps + kx * channels, run);
        }
    }
    return sum;
}

void itg_conv2d_s16(const int16_t *in, const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                    const int8_t *shift, int16_t *out, const itg_conv2d_s16_params *p)
{
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_in_c;
    const int32_t group_out_c = p->out_c / (p->in_c / p->group_in_c);
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        const int32_t y0 = oy * p->stride_h - p->pad_top;
        const itg_taps ky = itg_taps_inside(y0, p->kernel_h, p->dilation_h, p->in_h);
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            const itg_taps kx = itg_taps_inside(x0, p->kernel_w, p->dilation_w, p->in_w);
            /* The first tap; where none lies inside, its place might not fit 32 bits. */
            const int inside = ky.end > ky.first && kx.end > kx.first;
            const int32_t y = ky.first * p->dilation_h + y0;
            const int32_t x = kx.first * p->dilation_w + x0;
            const int32_t in_at = inside ? (y * p->in_w + x) * p->in_c : 0;
            const int32_t filter_at = (ky.first * p->kernel_w + kx.first) * p->group_in_c;
            for (int32_t oc = 0; oc < p->out_c; oc++) {
                const int32_t group = oc / group_out_c;
                int64_t sum = bias != NULL ? bias[oc] : 0;
                if (inside) {
                    sum += window_sum(in + in_at + group * p->group_in_c, weights + oc * filter_size + filter_at,
                                      ky.end - ky.first, kx.end - kx.first, p);
                }
                *out++ = itg_wide_requantize(sum, multiplier[oc], shift[oc], p->out_min, p->out_max);
            }
        }
    }
}
