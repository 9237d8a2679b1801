#include "mean.h"

#include "fixed.h"

static int8_t mean_of(const int8_t *in, const itg_mean_s8_params *p)
{
    int32_t sum = p->in_sum_offset;
    for (int32_t i = 0; i < p->mean_size[0]; i++) {
        for (int32_t j = 0; j < p->mean_size[1]; j++) {
            const int8_t *from = in + i * p->mean_step[0] + j * p->mean_step[1];
            for (int32_t k = 0; k < p->mean_size[2]; k++) {
                sum += from[k * p->mean_step[2]];
            }
        }
    }
    return (int8_t)itg_clamp(itg_requantize(sum, p->multiplier, p->shift) + p->out_offset, INT8_MIN, INT8_MAX);
}

void itg_mean_s8(const int8_t *in, int8_t *out, const itg_mean_s8_params *p)
{
    for (int32_t i = 0; i < p->kept_size[0]; i++) {
        for (int32_t j = 0; j < p->kept_size[1]; j++) {
            const int8_t *from = in + i * p->kept_step[0] + j * p->kept_step[1];
            for (int32_t k = 0; k < p->kept_size[2]; k++) {
                *out++ = mean_of(from + k * p->kept_step[2], p);
            }
        }
    }
}
