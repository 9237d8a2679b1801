#include "scale.h"

void itg_scale_s8(const int8_t *in, const int8_t *weights, int32_t n, int8_t *to)
{
    volatile int32_t frame[8]; /* so that the stack is used */
    for (int32_t i = 0; i < n; i++) {
        frame[i & 7] = in[i] * weights[i] + 2048;
        to[i] = (int8_t)((frame[i & 7] >> 4) - 128);
    }
}
