#include "fully_connected_relative.h"

#include <stddef.h>

#include "fully_connected_out.h"

void itg_fully_connected_relative(const int8_t *in, const uint8_t *gaps, const int8_t *values, const int32_t *bias,
                                  const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                  const itg_fully_connected_s8_params *p)
{
    const int32_t in_c = p->in_c;
    const int32_t in_offset = p->in_offset;
    int32_t i = *gaps++;
    for (int32_t oc = 0; oc < p->out_c; oc++) {
        int32_t sum = bias != NULL ? bias[oc] : 0;
        for (; i < in_c; i += 1 + *gaps++) {
            sum += *values++ * (in[i] + in_offset);
        }
        i -= in_c;
        *out++ = itg_fully_connected_out(sum, oc, multiplier, shift, p);
    }
}
