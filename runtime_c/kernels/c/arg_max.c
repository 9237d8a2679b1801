#include "arg_max.h"

void itg_arg_max_s8(const int8_t *in, int32_t *out, const itg_arg_max_s8_params *p)
{
    for (int32_t i = 0; i < p->outer; i++) {
        for (int32_t j = 0; j < p->inner; j++) {
            int32_t best = 0;
            for (int32_t k = 1; k < p->size; k++) {
                best = in[k * p->inner + j] > in[best * p->inner + j] ? k : best;
            }
            *out++ = best;
        }
        in += p->size * p->inner;
    }
}
