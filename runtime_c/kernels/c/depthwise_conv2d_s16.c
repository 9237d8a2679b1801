#include "depthwise_conv2d_s16.h"

#include <stddef.h>

#include "taps.h"
#include "wide.h"

/* One output: `in` and `tap` point at the first tap inside the input, of which there are `rows` x `columns`. */
static int64_t window_sum(const int16_t *in, const int8_t *tap, int32_t rows, int32_t columns, int32_t out_c,
                          const itg_depthwise_conv2d_s16_params *p)
{
    /* From one tap to the next. A step beyond the input is never taken, and might not fit 32 bits. */
    const int32_t column_step = p->dilation_w < p->in_w ? p->dilation_w * p->in_c : 0;
    const int32_t row_step = p->dilation_h < p->in_h ? p->dilation_h * p->in_w * p->in_c : 0;
    int64_t sum = 0;
    for (int32_t ky = 0; ky < rows; ky++) {
        int32_t in_at = ky * row_step;
        int32_t tap_at = ky * p->kernel_w * out_c;
        int32_t part = 0; /* a row holds ITG_WIDE_RUN taps at most */
        for (int32_t kx = 0; kx < columns; kx++) {
            part += tap[tap_at] * in[in_at];
            in_at += column_step;
            tap_at += out_c;
        }
        sum += part;
    }
    return sum;
}

void itg_depthwise_conv2d_s16(const int16_t *in, const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                              const int8_t *shift, int16_t *out, const itg_depthwise_conv2d_s16_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
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
            const int32_t tap_at = (ky.first * p->kernel_w + kx.first) * out_c;
            int32_t oc = 0;
            for (int32_t ic = 0; ic < p->in_c; ic++) {
                for (int32_t m = 0; m < p->multiplier; m++, oc++) {
                    int64_t sum = bias != NULL ? bias[oc] : 0;
                    if (inside) {
                        sum += window_sum(in + in_at + ic, weights + tap_at + oc, ky.end - ky.first,
                                          kx.end - kx.first, out_c, p);
                    }
                    *out++ = itg_wide_requantize(sum, multiplier[oc], shift[oc], p->out_min, p->out_max);
                }
            }
        }
    }
}
