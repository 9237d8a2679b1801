#include "depthwise_conv2d_f32.h"

#include <stddef.h>

#include "clamp_f32.h"
#include "taps.h"

/* All channels of one output pixel: each tap inside the input is added to the channels' sums in `out`. */
static void add_taps(const float *in, const float *weights, float *out, int32_t y0, int32_t x0,
                     const itg_depthwise_conv2d_f32_params *p)
{
    const itg_taps rows = itg_taps_inside(y0, p->kernel_h, p->dilation_h, p->in_h);
    const itg_taps columns = itg_taps_inside(x0, p->kernel_w, p->dilation_w, p->in_w);
    for (int32_t ky = rows.first; ky < rows.end; ky++) {
        for (int32_t kx = columns.first; kx < columns.end; kx++) {
            const float *pixel = in + ((y0 + ky * p->dilation_h) * p->in_w + x0 + kx * p->dilation_w) * p->in_c;
            const float *tap = weights + (ky * p->kernel_w + kx) * p->in_c * p->multiplier;
            float *sum = out;
            for (int32_t ic = 0; ic < p->in_c; ic++) {
                for (int32_t m = 0; m < p->multiplier; m++) {
                    *sum++ += *tap++ * pixel[ic];
                }
            }
        }
    }
}

void itg_depthwise_conv2d_f32(const float *in, const float *weights, const float *bias, float *out,
                              const itg_depthwise_conv2d_f32_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            for (int32_t oc = 0; oc < out_c; oc++) {
                out[oc] = bias != NULL ? bias[oc] : 0.0f;
            }
            add_taps(in, weights, out, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, p);
            for (int32_t oc = 0; oc < out_c; oc++) {
                out[oc] = itg_clamp_f32(out[oc], p->out_min, p->out_max);
            }
            out += out_c;
        }
    }
}
