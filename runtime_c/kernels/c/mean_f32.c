#include "mean_f32.h"

static float sum_of(const float *in, const itg_mean_f32_params *p)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < p->mean_size[0]; i++) {
        for (int32_t j = 0; j < p->mean_size[1]; j++) {
            const float *from = in + i * p->mean_step[0] + j * p->mean_step[1];
            for (int32_t k = 0; k < p->mean_size[2]; k++) {
                sum += from[k * p->mean_step[2]];
            }
        }
    }
    return sum;
}

void itg_mean_f32(const float *in, float *out, const itg_mean_f32_params *p)
{
    for (int32_t i = 0; i < p->kept_size[0]; i++) {
        for (int32_t j = 0; j < p->kept_size[1]; j++) {
            const float *from = in + i * p->kept_step[0] + j * p->kept_step[1];
            for (int32_t k = 0; k < p->kept_size[2]; k++) {
                *out++ = sum_of(from + k * p->kept_step[2], p) / p->count;
            }
        }
    }
}
