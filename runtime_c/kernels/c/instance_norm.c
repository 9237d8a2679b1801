#include "instance_norm.h"

#include <stddef.h>

#include "normalization.h"

static void channel(const int8_t *in, int32_t scale, int32_t offset, int8_t *out, const itg_instance_norm_s8_params *p)
{
    const int64_t epsilon = (int64_t)p->epsilon_high * (1 << 30) + p->epsilon_low;
    int32_t sum = 0;
    int32_t squares = 0;
    for (int32_t i = 0; i < p->pixels; i++) {
        const int32_t x = in[i * p->channels];
        sum += x;
        squares += x * x;
    }
    const itg_normalizer by = itg_normalizer_of(p->pixels, sum, squares, epsilon, p->fraction_bits);
    for (int32_t i = 0; i < p->pixels; i++) {
        const int32_t norm = itg_normalize(in[i * p->channels], p->pixels, &by);
        /* It fits 32 bits (ops/normalization.py), which the intervals of `make prove` do not show: hence unsigned. */
        const uint32_t scaled = (uint32_t)norm * (uint32_t)scale + (uint32_t)offset;
        const int32_t y = itg_requantize((int32_t)scaled, p->multiplier, p->shift) + p->out_offset;
        out[i * p->channels] = (int8_t)itg_clamp(y, INT8_MIN, INT8_MAX);
    }
}

void itg_instance_norm_s8(const int8_t *in, const int16_t *scale, const int32_t *offset, int8_t *out,
                          const itg_instance_norm_s8_params *p)
{
    for (int32_t image = 0; image < p->images; image++) {
        for (int32_t c = 0; c < p->channels; c++) {
            channel(in + c, scale[c], offset != NULL ? offset[c] : 0, out + c, p);
        }
        in += p->pixels * p->channels;
        out += p->pixels * p->channels;
    }
}
