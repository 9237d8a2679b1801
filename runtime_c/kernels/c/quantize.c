#include "quantize.h"

static int32_t quantized(float in, int32_t lowest, int32_t highest, const itg_quantize_params *p)
{
    const float low = (float)(lowest - p->zero_point);
    const float high = (float)(highest - p->zero_point);
    float real = in / p->scale;
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
    return q + p->zero_point;
}

void itg_quantize_f32_s8(const float *in, int8_t *out, const itg_quantize_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = (int8_t)quantized(in[i], INT8_MIN, INT8_MAX, p);
    }
}

void itg_quantize_f32_s16(const float *in, int16_t *out, const itg_quantize_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = (int16_t)quantized(in[i], INT16_MIN, INT16_MAX, p);
    }
}
