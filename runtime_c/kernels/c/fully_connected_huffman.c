#include "fully_connected_huffman.h"

#include <stddef.h>

#include "fully_connected_out.h"
#include "huffman.h"

void itg_fully_connected_huffman(const int8_t *in, const uint8_t *tables, const uint16_t *stream, const int32_t *bias,
                                 const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                 const itg_fully_connected_s8_params *p)
{
    const int32_t in_c = p->in_c;
    const int32_t in_offset = p->in_offset;
    itg_huffman d;
    itg_huffman_begin(&d, tables, stream);
    for (int32_t oc = 0; oc < p->out_c; oc++) {
        int32_t sum = bias != NULL ? bias[oc] : 0;
        int32_t i;
        for (i = d.gap; i < in_c; i += 1 + itg_huffman_gap(&d)) {
            sum += itg_huffman_value(&d) * (in[i] + in_offset);
        }
        d.gap = i - in_c;
        *out++ = itg_fully_connected_out(sum, oc, multiplier, shift, p);
    }
}
