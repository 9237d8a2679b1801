#include "fully_connected.h"

#include <stddef.h>

#include "fixed.h"

void itg_fully_connected_s8(const int8_t *in, const int8_t *weights, const int32_t *bias, const int32_t *multiplier,
                            const int8_t *shift, int8_t *out, const itg_fully_connected_s8_params *p)
{
    const int32_t in_c = p->in_c;
    const int32_t in_offset = p->in_offset;
    for (int32_t r = 0; r < p->rows; r++) {
        const int8_t *row = in + r * in_c;
        for (int32_t oc = 0; oc < p->out_c; oc++) {
            const int8_t *w = weights + oc * in_c;
            int32_t sum = bias != NULL ? bias[oc] : 0;
            for (int32_t i = 0; i < in_c; i++) {
                sum += w[i] * (row[i] + in_offset);
            }
            const int32_t m = oc * p->multiplier_step;
            sum = itg_requantize(sum, multiplier[m], shift[m]) + p->out_offset;
            *out++ = (int8_t)itg_clamp(sum, p->out_min, p->out_max);
        }
    }
}
