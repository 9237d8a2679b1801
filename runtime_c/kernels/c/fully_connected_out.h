/* From a sum of products to an output of FULLY_CONNECTED. */
#ifndef ITG_FULLY_CONNECTED_OUT_H
#define ITG_FULLY_CONNECTED_OUT_H

#include <stdint.h>

#include "fixed.h"
#include "fully_connected.h"

static inline int8_t itg_fully_connected_out(int32_t sum, int32_t oc, const int32_t *multiplier, const int8_t *shift,
                                             const itg_fully_connected_s8_params *p)
{
    const int32_t m = oc * p->multiplier_step;
    sum = itg_requantize(sum, multiplier[m], shift[m]) + p->out_offset;
    return (int8_t)itg_clamp(sum, p->out_min, p->out_max);
}

#endif
