#include "fully_connected_s4.h"

#include <stddef.h>

#include "fully_connected_out.h"
#include "unpack_s4.h"

void itg_fully_connected_s4(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
                            const int8_t *shift, int8_t *out, const itg_fully_connected_s8_params *p)
{
    const int32_t in_c = p->in_c;
    const int32_t in_offset = p->in_offset;
    for (int32_t r = 0; r < p->rows; r++) {
        const int8_t *in_row = in + r * in_c;
        const uint8_t *w = weights;
        for (int32_t oc = 0; oc < p->out_c; oc++) {
            int32_t sum = bias != NULL ? bias[oc] : 0;
            int32_t i = 0;
            for (; i + 1 < in_c; i += 2) {
                const uint32_t byte = *w++;
                sum += itg_s4_low(byte) * (in_row[i] + in_offset);
                sum += itg_s4_high(byte) * (in_row[i + 1] + in_offset);
            }
            if (i < in_c) {
                sum += itg_s4_low(*w++) * (in_row[i] + in_offset);
            }
            *out++ = itg_fully_connected_out(sum, oc, multiplier, shift, p);
        }
    }
}
