#ifndef ITG_DEQUANTIZE_H
#define ITG_DEQUANTIZE_H

#include <stdint.h>

typedef struct {
    int32_t count;
    float scale; /* of the input */
    int32_t zero_point;
} itg_dequantize_params;

/* out[i] = scale * (in[i] - zero_point) */
void itg_dequantize_s8_f32(const int8_t *in, float *out, const itg_dequantize_params *p);
void itg_dequantize_u8_f32(const uint8_t *in, float *out, const itg_dequantize_params *p);
void itg_dequantize_s16_f32(const int16_t *in, float *out, const itg_dequantize_params *p);

#endif
