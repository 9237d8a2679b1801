#include "conv2d.h"

#include <stddef.h>

#include "fixed.h"
#include "taps.h"

static int32_t dot(const int8_t *in, const int8_t *weights, int32_t length, int32_t in_offset)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < length; i++) {
        sum += weights[i] * (in[i] + in_offset);
    }
    return sum;
}

/* One output: `in` and `filter` point at the first tap inside the input, which has `rows` x `columns` of them. */
static int32_t window_sum(const int8_t *in, const int8_t *filter, int32_t rows, int32_t columns,
                          const itg_conv2d_s8_params *p)
{
    const int32_t channels = p->group_in_c;
    /* From one tap to the next. A step beyond the input is never taken, and might not fit 32 bits. */
    const int32_t row_step = p->dilation_h < p->in_h ? p->dilation_h * p->in_w * p->in_c : 0;
    const int32_t column_step = p->dilation_w < p->in_w ? p->dilation_w * p->in_c : 0;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < rows; ky++) {
        const int8_t *row = in + ky * row_step;
        const int8_t *taps = filter + ky * p->kernel_w * channels;
        if (column_step == channels || columns == 1) {
            /* Neighbouring taps lie side by side in memory, as in the filter: one run a row. */
            sum += dot(row, taps, columns * channels, p->in_offset);
        } else {
            for (int32_t kx = 0; kx < columns; kx++) {
                sum += dot(row + kx * column_step, taps + kx * channels, channels, p->in_offset);
            }
        }
    }
    return sum;
}

void itg_conv2d_s8(const int8_t *in, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                   const int8_t *shift, int8_t *out, const itg_conv2d_s8_params *p)
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
                int32_t sum = bias != NULL ? bias[oc] : 0;
                if (inside) {
                    sum += window_sum(in + in_at + group * p->group_in_c, weights + oc * filter_size + filter_at,
                                      ky.end - ky.first, kx.end - kx.first, p);
                }
                sum = itg_requantize(sum, multiplier[oc], shift[oc]) + p->out_offset;
                *out++ = (int8_t)itg_clamp(sum, p->out_min, p->out_max);
            }
        }
    }
}
