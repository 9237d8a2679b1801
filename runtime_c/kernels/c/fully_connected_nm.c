#include "fully_connected_nm.h"

#include <stddef.h>

#include "fully_connected_out.h"
#include "nm.h"

void itg_fully_connected_nm(const int8_t *in, const uint8_t *positions, const int8_t *values, const int32_t *bias,
                            const int32_t *multiplier, const int8_t *shift, int8_t *out,
                            const itg_fully_connected_s8_params *p)
{
    const int32_t in_offset = p->in_offset;
    itg_nm d;
    itg_nm_begin(&d, positions, values);
    for (int32_t oc = 0; oc < p->out_c; oc++) {
        int32_t sum = bias != NULL ? bias[oc] : 0;
        for (int32_t i = 0; i < p->in_c; i += 4) {
            const int8_t *x = in + i;
            for (int32_t k = 0; k < d.n; k++) {
                const int8_t at = x[itg_nm_position(&d)];
                sum += *d.values++ * (at + in_offset);
            }
        }
        *out++ = itg_fully_connected_out(sum, oc, multiplier, shift, p);
    }
}
