#include "quantize.h"

void itg_quantize_f32_s8(const float *in, int8_t *out, const itg_quantize_f32_s8_params *p)
{
    const float low = (float)(INT8_MIN - p->zero_point);
    const float high = (float)(INT8_MAX - p->zero_point);
    for (int32_t i = 0; i < p->count; i++) {
        float real = in[i] / p->scale;
        /* Clamped first, so that the conversion to an integer is always defined; not-a-number fails the comparison. */
        real = real > low ? real : low;
        real = real < high ? real : high;
        int32_t q = (int32_t)real;
        const float rest = real - (float)q;
        if (rest >= 0.5f) {
            q++;
        } else if (rest <= -0.5f) {
            q--;
        }
        out[i] = (int8_t)(q + p->zero_point);
    }
}
