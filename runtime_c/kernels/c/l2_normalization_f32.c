#include "l2_normalization_f32.h"

#include <math.h>

void itg_l2_normalization_f32(const float *in, float *out, const itg_l2_normalization_f32_params *p)
{
    for (int32_t row = 0; row < p->rows; row++) {
        float sum = 0.0f;
        for (int32_t i = 0; i < p->row_size; i++) {
            sum += in[i] * in[i];
        }
        const float root = sqrtf(sum);
        const float length = root > p->epsilon ? root : p->epsilon;
        for (int32_t i = 0; i < p->row_size; i++) {
            out[i] = in[i] / length;
        }
        in += p->row_size;
        out += p->row_size;
    }
}
