#include "softmax_f32.h"

#include <math.h>

void itg_softmax_f32(const float *in, float *out, const itg_softmax_f32_params *p)
{
    for (int32_t row = 0; row < p->rows; row++) {
        /* Distances from the maximum: no exponential exceeds 1. */
        float max = in[0];
        for (int32_t i = 1; i < p->row_size; i++) {
            max = in[i] > max ? in[i] : max;
        }
        float sum = 0.0f;
        for (int32_t i = 0; i < p->row_size; i++) {
            out[i] = expf((in[i] - max) * p->beta);
            sum += out[i];
        }
        for (int32_t i = 0; i < p->row_size; i++) {
            out[i] /= sum;
        }
        in += p->row_size;
        out += p->row_size;
    }
}
