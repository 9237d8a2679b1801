#include "transpose_conv_s16.h"

#include <stddef.h>

#include "wide.h"

/* One output, gathered: input row iy reaches row y of the full result through kernel row ky where
 * y = iy * stride_h + ky. Gathering needs no buffer of 64-bit sums, which scattering would. */
static int64_t gather(const int16_t *in, const int8_t *filter, int32_t y, int32_t x,
                      const itg_transpose_conv_s16_params *p)
{
    int64_t sum = 0;
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
            const int16_t *pixel = in + (iy * p->in_w + ix) * p->in_c;
            const int8_t *tap = filter + (ky * p->kernel_w + kx) * p->in_c;
            sum += itg_wide_dot(pixel, tap, p->in_c);
        }
    }
    return sum;
}

void itg_transpose_conv_s16(const int16_t *in, const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                            const int8_t *shift, int16_t *out, const itg_transpose_conv_s16_params *p)
{
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            for (int32_t oc = 0; oc < p->out_c; oc++) {
                int64_t sum = gather(in, weights + oc * filter_size, oy + p->cut_top, ox + p->cut_left, p);
                if (bias != NULL) {
                    sum += bias[oc];
                }
                *out++ = itg_wide_requantize(sum, multiplier[oc], shift[oc], p->out_min, p->out_max);
            }
        }
    }
}
