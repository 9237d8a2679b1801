#include "transpose_conv.h"

#include <stddef.h>

#include "fixed.h"
#include "transpose_conv_row.h"

void itg_transpose_conv_s8(const int8_t *in, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                           const int8_t *shift, int8_t *out, const itg_transpose_conv_s8_params *p)
{
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->in_c;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            for (int32_t oc = 0; oc < p->out_c; oc++) {
                int32_t sum = itg_transpose_conv_gather(in, weights + oc * filter_size, oy + p->cut_top,
                                                        ox + p->cut_left, p);
                if (bias != NULL) {
                    sum += bias[oc];
                }
                sum = itg_requantize(sum, multiplier[oc], shift[oc]) + p->out_offset;
                *out++ = (int8_t)itg_clamp(sum, p->out_min, p->out_max);
            }
        }
    }
}
