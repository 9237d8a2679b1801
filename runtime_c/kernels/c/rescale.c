#include "rescale.h"

#include "fixed.h"

static int32_t rescaled(int32_t x, const itg_rescale_params *p)
{
    const int32_t y = itg_requantize(x + p->in_offset, p->multiplier, p->shift) + p->out_offset;
    return itg_clamp(y, p->out_min, p->out_max);
}

void itg_rescale_s16(const int16_t *in, int16_t *out, const itg_rescale_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = (int16_t)rescaled(in[i], p);
    }
}

void itg_rescale_s16_s8(const int16_t *in, int8_t *out, const itg_rescale_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = (int8_t)rescaled(in[i], p);
    }
}

void itg_rescale_s8_s16(const int8_t *in, int16_t *out, const itg_rescale_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = (int16_t)rescaled(in[i], p);
    }
}
