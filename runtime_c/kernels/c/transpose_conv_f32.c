#include "transpose_conv_f32.h"

#include <stddef.h>

#include "clamp_f32.h"

/* Floats are their own sums, so each input pixel is scattered over the window of the output that it reaches. */
static void scatter(const float *pixel, const float *weights, float *out, int32_t y0, int32_t x0,
                    const itg_transpose_conv_f32_params *p)
{
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        const int32_t y = y0 + ky;
        if (y < 0 || y >= p->out_h) {
            continue;
        }
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t x = x0 + kx;
            if (x < 0 || x >= p->out_w) {
                continue;
            }
            float *to = out + (y * p->out_w + x) * p->out_c;
            for (int32_t oc = 0; oc < p->out_c; oc++) {
                const float *tap = weights + ((oc * p->kernel_h + ky) * p->kernel_w + kx) * p->in_c;
                for (int32_t ic = 0; ic < p->in_c; ic++) {
                    to[oc] += tap[ic] * pixel[ic];
                }
            }
        }
    }
}

void itg_transpose_conv_f32(const float *in, const float *weights, const float *bias, float *out,
                            const itg_transpose_conv_f32_params *p)
{
    const int32_t size = p->out_h * p->out_w * p->out_c;
    for (int32_t i = 0; i < size; i++) {
        out[i] = bias != NULL ? bias[i % p->out_c] : 0.0f;
    }
    for (int32_t iy = 0; iy < p->in_h; iy++) {
        for (int32_t ix = 0; ix < p->in_w; ix++) {
            const float *pixel = in + (iy * p->in_w + ix) * p->in_c;
            scatter(pixel, weights, out, iy * p->stride_h - p->cut_top, ix * p->stride_w - p->cut_left, p);
        }
    }
    for (int32_t i = 0; i < size; i++) {
        out[i] = itg_clamp_f32(out[i], p->out_min, p->out_max);
    }
}
