#include "depthwise_conv2d_s4.h"

#include <stddef.h>

#include "depthwise_conv2d_row.h"
#include "unpack_s4.h"

void itg_depthwise_conv2d_s4(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
                             const int8_t *shift, int8_t *out, int8_t *row, const itg_depthwise_conv2d_s8_params *p)
{
    const int32_t out_c = p->in_c * p->multiplier;
    for (int32_t oc = 0; oc < out_c; oc++) {
        itg_unpack_s4_every(weights, oc, out_c, p->kernel_h * p->kernel_w, row);
        itg_depthwise_conv2d_row(in + oc / p->multiplier, row, bias != NULL ? bias[oc] : 0, multiplier[oc], shift[oc],
                                 out + oc, p);
    }
}
