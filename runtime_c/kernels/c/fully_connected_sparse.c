#include "fully_connected_sparse.h"

#include <stddef.h>

#include "fully_connected_out.h"

void itg_fully_connected_sparse(const int8_t *in, const uint8_t *bitmap, const int8_t *values, const int32_t *bias,
                                const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                const itg_fully_connected_s8_params *p)
{
    const int32_t in_offset = p->in_offset;
    for (int32_t oc = 0; oc < p->out_c; oc++) {
        int32_t sum = bias != NULL ? bias[oc] : 0;
        for (int32_t i = 0; i < p->in_c; i += 8) {
            const int8_t *x = in + i;
            for (uint32_t mask = *bitmap++; mask != 0; mask >>= 1, x++) {
                if ((mask & 1) != 0) {
                    sum += *values++ * (*x + in_offset);
                }
            }
        }
        *out++ = itg_fully_connected_out(sum, oc, multiplier, shift, p);
    }
}
