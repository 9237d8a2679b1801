#include "fully_connected_codebook.h"

#include <stddef.h>

#include "codebook.h"
#include "fully_connected_out.h"

void itg_fully_connected_codebook(const int8_t *in, const uint8_t *tables, const uint16_t *stream, const int32_t *bias,
                                  const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                  const itg_fully_connected_s8_params *p)
{
    const int32_t in_offset = p->in_offset;
    itg_codebook d;
    itg_codebook_begin(&d, tables, stream);
    const int32_t bits = d.bits;
    const int32_t most = d.run;
    itg_bits indices = d.in;
    for (int32_t oc = 0; oc < p->out_c; oc++) {
        const int8_t *const values = d.values;
        const int8_t *x = in;
        int32_t sum = bias != NULL ? bias[oc] : 0;
        for (int32_t left = p->in_c; left > 0;) {
            const int32_t run = left < most ? left : most;
            itg_bits_fill(&indices);
            indices.left -= run * bits;
            for (const int8_t *const end = x + run; x != end; x++) {
                sum += values[indices.bits >> (32 - bits)] * (*x + in_offset);
                indices.bits <<= bits;
            }
            left -= run;
        }
        itg_codebook_end_row(&d);
        *out++ = itg_fully_connected_out(sum, oc, multiplier, shift, p);
    }
}
