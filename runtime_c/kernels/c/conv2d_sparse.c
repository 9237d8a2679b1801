#include "conv2d_sparse.h"

#include <stddef.h>

#include "conv2d_nonzeros.h"
#include "conv2d_row.h"
#include "sparse.h"

void itg_conv2d_sparse(const int8_t *in, const uint8_t *bitmap, const int8_t *values, const int32_t *bias,
                       const int32_t *multiplier, const int8_t *shift, int8_t *out, int8_t *row, int16_t *list,
                       int32_t list_size, const itg_conv2d_s8_params *p)
{
    const int32_t filter_size = p->kernel_h * p->kernel_w * p->group_in_c;
    const int32_t group_out_c = p->out_c / (p->in_c / p->group_in_c);
    itg_sparse d = {bitmap, values};
    for (int32_t oc = 0; oc < p->out_c; oc++) {
        itg_sparse_row(&d, row, filter_size);
        const int32_t count = itg_conv2d_nonzeros(row, list, list_size, p);
        itg_conv2d_row(in + oc / group_out_c * p->group_in_c, row, list, list_size, count,
                       bias != NULL ? bias[oc] : 0, multiplier[oc], shift[oc], out + oc, p);
    }
}
