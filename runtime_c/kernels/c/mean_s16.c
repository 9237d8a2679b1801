#include "mean_s16.h"

#include "fixed.h"

static int16_t mean_of(const int16_t *in, const itg_mean_s16_params *p)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < p->mean_size[0]; i++) {
        for (int32_t j = 0; j < p->mean_size[1]; j++) {
            const int16_t *from = in + i * p->mean_step[0] + j * p->mean_step[1];
            for (int32_t k = 0; k < p->mean_size[2]; k++) {
                sum += from[k * p->mean_step[2]];
            }
        }
    }
    return (int16_t)itg_clamp(itg_requantize(sum, p->multiplier, p->shift), INT16_MIN, INT16_MAX);
}

void itg_mean_s16(const int16_t *in, int16_t *out, const itg_mean_s16_params *p)
{
    for (int32_t i = 0; i < p->kept_size[0]; i++) {
        for (int32_t j = 0; j < p->kept_size[1]; j++) {
            const int16_t *from = in + i * p->kept_step[0] + j * p->kept_step[1];
            for (int32_t k = 0; k < p->kept_size[2]; k++) {
                *out++ = mean_of(from + k * p->kept_step[2], p);
            }
        }
    }
}
