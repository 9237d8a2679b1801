#include "dequantize.h"

void itg_dequantize_s8_f32(const int8_t *in, float *out, const itg_dequantize_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = p->scale * (float)(in[i] - p->zero_point);
    }
}

void itg_dequantize_u8_f32(const uint8_t *in, float *out, const itg_dequantize_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = p->scale * (float)(in[i] - p->zero_point);
    }
}

void itg_dequantize_s16_f32(const int16_t *in, float *out, const itg_dequantize_params *p)
{
    for (int32_t i = 0; i < p->count; i++) {
        out[i] = p->scale * (float)(in[i] - p->zero_point);
    }
}
