#ifndef ITG_QUANTIZE_H
#define ITG_QUANTIZE_H

#include <stdint.h>

typedef struct {
    int32_t count;
    float scale; /* of the output */
    int32_t zero_point;
} itg_quantize_params;

/* out[i] = round(in[i] / scale) + zero_point, clamped; half away from zero; what is not a number becomes the lowest */
void itg_quantize_f32_s8(const float *in, int8_t *out, const itg_quantize_params *p);
void itg_quantize_f32_s16(const float *in, int16_t *out, const itg_quantize_params *p);

#endif
