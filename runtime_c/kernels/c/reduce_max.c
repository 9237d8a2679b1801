#include "reduce_max.h"

static int8_t largest_of(const int8_t *in, const itg_reduce_max_s8_params *p)
{
    int8_t best = *in;
    for (int32_t i = 0; i < p->gone_size[0]; i++) {
        for (int32_t j = 0; j < p->gone_size[1]; j++) {
            const int8_t *from = in + i * p->gone_step[0] + j * p->gone_step[1];
            for (int32_t k = 0; k < p->gone_size[2]; k++) {
                const int8_t x = from[k * p->gone_step[2]];
                best = (p->sign > 0 ? x > best : x < best) ? x : best;
            }
        }
    }
    return best;
}

void itg_reduce_max_s8(const int8_t *in, int8_t *out, const itg_reduce_max_s8_params *p)
{
    for (int32_t i = 0; i < p->kept_size[0]; i++) {
        for (int32_t j = 0; j < p->kept_size[1]; j++) {
            const int8_t *from = in + i * p->kept_step[0] + j * p->kept_step[1];
            for (int32_t k = 0; k < p->kept_size[2]; k++) {
                *out++ = largest_of(from + k * p->kept_step[2], p);
            }
        }
    }
}
