#include "leaky_relu_s16.h"

#include "fixed.h"

void itg_leaky_relu_s16(const int16_t *in, int16_t *out, const itg_leaky_relu_s16_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        const int32_t x = in[i];
        const int32_t y = x >= 0 ? itg_requantize(x, p->above_multiplier, p->above_shift)
                                 : p->below_sign * itg_requantize(x, p->below_multiplier, p->below_shift);
        out[i] = (int16_t)itg_clamp(y, INT16_MIN, INT16_MAX);
    }
}
