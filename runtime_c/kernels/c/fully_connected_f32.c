#include "fully_connected_f32.h"

#include <stddef.h>

#include "clamp_f32.h"

void itg_fully_connected_f32(const float *in, const float *weights, const float *bias, float *out,
                             const itg_fully_connected_f32_params *p)
{
    for (int32_t r = 0; r < p->rows; r++) {
        const float *row = in + r * p->in_c;
        for (int32_t oc = 0; oc < p->out_c; oc++) {
            const float *w = weights + oc * p->in_c;
            float sum = bias != NULL ? bias[oc] : 0.0f;
            for (int32_t i = 0; i < p->in_c; i++) {
                sum += w[i] * row[i];
            }
            *out++ = itg_clamp_f32(sum, p->out_min, p->out_max);
        }
    }
}
