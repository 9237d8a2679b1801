#include "conv2d_s4.h"

#include <stddef.h>

#include "conv2d_row.h"
#include "unpack_s4.h"

void itg_conv2d_s4(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
                   const int8_t *shift, int8_t *out, int8_t *row, const itg_conv2d_s8_params *p)
{
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_in_c;
    const int32_t filter_bytes = (filter_size + 1) / 2;
    const int32_t group_out_c = p->out_c / (p->in_c / p->group_in_c);
    for (int32_t oc = 0; oc < p->out_c; oc++) {
        itg_unpack_s4(weights + oc * filter_bytes, filter_size, row);
        itg_conv2d_row(in + oc / group_out_c * p->group_in_c, row, NULL, 0, -1,
                       bias != NULL ? bias[oc] : 0, multiplier[oc], shift[oc], out + oc, p);
    }
}
