#include "sigmoid_s16.h"

void itg_sigmoid_s16(const int16_t *in, const uint16_t *table, int16_t *out, const itg_sigmoid_s16_params *p)
{
    const int32_t centre = 1 << (15 + p->fraction);
    const int32_t half_in = p->shift > 0 ? 1 << (p->shift - 1) : 0;
    const int32_t half_out = 1 << (p->out_shift - 1);
    for (int32_t i = 0; i < p->count; i++) {
        const int32_t x = (in[i] * p->multiplier + half_in) >> p->shift;
        const int32_t distance = x < 0 ? -x : x;
        const int32_t point = distance >> p->fraction;
        int32_t y = p->top;
        if (point < ITG_SIGMOID_STEPS) {
            const int32_t part = distance & ((1 << p->fraction) - 1);
            y = (table[point] << p->fraction) + part * (table[point + 1] - table[point]);
        }
        /* The curve is odd around its centre; the complement rounds the lower half as the upper one. */
        y -= centre;
        out[i] = (int16_t)(((x < 0 ? -y - 1 : y) + p->lift + half_out) >> p->out_shift);
    }
}
