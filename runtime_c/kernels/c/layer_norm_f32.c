#include "layer_norm_f32.h"

#include <math.h>
#include <stddef.h>

void itg_layer_norm_f32(const float *in, const float *scale, const float *offset, float *out,
                        const itg_layer_norm_f32_params *p)
{
    const float count = (float)p->row_size;
    for (int32_t row = 0; row < p->rows; row++) {
        float sum = 0.0f;
        for (int32_t i = 0; i < p->row_size; i++) {
            sum += in[i];
        }
        const float mean = sum / count;
        float squares = 0.0f;
        for (int32_t i = 0; i < p->row_size; i++) {
            squares += (in[i] - mean) * (in[i] - mean);
        }
        const float deviation = sqrtf(squares / count + p->epsilon);
        for (int32_t i = 0; i < p->row_size; i++) {
            out[i] = (in[i] - mean) / deviation * scale[i] + (offset != NULL ? offset[i] : 0.0f);
        }
        in += p->row_size;
        out += p->row_size;
    }
}
