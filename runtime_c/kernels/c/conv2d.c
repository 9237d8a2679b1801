#include "conv2d.h"

#include <stddef.h>

#include "fixed.h"

/* One output: the window whose first row and column (which may lie in the padding) are y0 and x0, with one filter. A
 * padded input equals its zero point and adds nothing, so those taps are skipped. */
static int32_t window_sum(const int8_t *in, const int8_t *filter, int32_t y0, int32_t x0,
                          const itg_conv2d_s8_params *p)
{
    const int32_t channels = p->group_in_c;
    const int32_t in_offset = p->in_offset;
    int32_t sum = 0;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = y0 + ky * p->dilation_h;
        if (y < 0 || y >= p->in_h) {
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = x0 + kx * p->dilation_w;
            if (x < 0 || x >= p->in_w) {
                continue;
            }
            const int8_t *pixel = in + (y * p->in_w + x) * p->in_c;
            const int8_t *tap = filter + (ky * p->kernel_w + kx) * channels;
            for (int32_t c = 0; c < channels; c++) {
                sum += tap[c] * (pixel[c] + in_offset);
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
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const int32_t x0 = ox * p->stride_w - p->pad_left;
            for (int32_t oc = 0; oc < p->out_c; oc++) {
                const int8_t *group = in + (oc / group_out_c) * p->group_in_c;
                int32_t sum = window_sum(group, weights + oc * filter_size, y0, x0, p);
                if (bias != NULL) {
                    sum += bias[oc];
                }
                sum = itg_requantize(sum, multiplier[oc], shift[oc]) + p->out_offset;
                *out++ = (int8_t)itg_clamp(sum, p->out_min, p->out_max);
            }
        }
    }
}
