#include "fully_connected_s16.h"

#include <stddef.h>

#include "wide.h"

void itg_fully_connected_s16(const int16_t *in, const int8_t *weights, const int64_t *bias, const int16_t *multiplier,
                             const int8_t *shift, int16_t *out, const itg_fully_connected_s16_params *p)
{
    const int32_t in_c = p->in_c;
    for (int32_t r = 0; r < p->rows; r++) {
        const int16_t *row = in + r * in_c;
        for (int32_t oc = 0; oc < p->out_c; oc++) {
            const int64_t sum = (bias != NULL ? bias[oc] : 0) + itg_wide_dot(row, weights + oc * in_c, in_c);
            const int32_t m = oc * p->multiplier_step;
            *out++ = itg_wide_requantize(sum, multiplier[m], shift[m], p->out_min, p->out_max);
        }
    }
}
