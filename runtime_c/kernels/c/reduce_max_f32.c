#include "reduce_max_f32.h"

static float largest_of(const float *in, const itg_reduce_max_f32_params *p)
{
    float best = *in;
    for (int32_t i = 0; i < p->gone_size[0]; i++) {
        for (int32_t j = 0; j < p->gone_size[1]; j++) {
            const float *from = in + i * p->gone_step[0] + j * p->gone_step[1];
            for (int32_t k = 0; k < p->gone_size[2]; k++) {
                const float x = from[k * p->gone_step[2]];
                best = (p->sign > 0 ? x > best : x < best) ? x : best;
            }
        }
    }
    return best;
}

void itg_reduce_max_f32(const float *in, float *out, const itg_reduce_max_f32_params *p)
{
    for (int32_t i = 0; i < p->kept_size[0]; i++) {
        for (int32_t j = 0; j < p->kept_size[1]; j++) {
            const float *from = in + i * p->kept_step[0] + j * p->kept_step[1];
            for (int32_t k = 0; k < p->kept_size[2]; k++) {
                *out++ = largest_of(from + k * p->kept_step[2], p);
            }
        }
    }
}
