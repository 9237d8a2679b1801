#include "layer_norm.h"

#include <stddef.h>

#include "normalization.h"

void itg_layer_norm_s8(const int8_t *in, const int16_t *scale, const int32_t *offset, int8_t *out,
                       const itg_layer_norm_s8_params *p)
{
    const int64_t epsilon = (int64_t)p->epsilon_high * (1 << 30) + p->epsilon_low;
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t sum = 0;
        int32_t squares = 0;
        for (int32_t i = 0; i < p->row_size; i++) {
            sum += in[i];
            squares += in[i] * in[i];
        }
        const itg_normalizer by = itg_normalizer_of(p->row_size, sum, squares, epsilon, p->fraction_bits);
        for (int32_t i = 0; i < p->row_size; i++) {
            const int32_t norm = itg_normalize(in[i], p->row_size, &by);
            /* It fits 32 bits (ops/normalization.py), which the intervals of `make prove` do not show: hence unsigned. */
            const uint32_t scaled = (uint32_t)norm * (uint32_t)scale[i] + (uint32_t)(offset != NULL ? offset[i] : 0);
            const int32_t y = itg_requantize((int32_t)scaled, p->multiplier, p->shift) + p->out_offset;
            out[i] = (int8_t)itg_clamp(y, INT8_MIN, INT8_MAX);
        }
        in += p->row_size;
        out += p->row_size;
    }
}
