#include "fully_connected_s2.h"

#include <stddef.h>

#include "fully_connected_out.h"
#include "unpack_s2.h"

void itg_fully_connected_s2(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
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
            for (; i + 3 < in_c; i += 4) {
                const uint32_t byte = *w++;
                sum += itg_s2(byte, 0) * (in_row[i] + in_offset);
                sum += itg_s2(byte, 1) * (in_row[i + 1] + in_offset);
                sum += itg_s2(byte, 2) * (in_row[i + 2] + in_offset);
                sum += itg_s2(byte, 3) * (in_row[i + 3] + in_offset);
            }
            if (i < in_c) {
                const uint32_t byte = *w++;
                for (int32_t k = 0; i < in_c; i++, k++) {
                    sum += itg_s2(byte, k) * (in_row[i] + in_offset);
                }
            }
            *out++ = itg_fully_connected_out(sum, oc, multiplier, shift, p);
        }
    }
}
