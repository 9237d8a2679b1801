#ifndef ITG_SUMS_H
#define ITG_SUMS_H

#include <stdint.h>

/* state[8] += every other element, wrapping; out[4] = its first half; sums[2] = sums of the halves of x[16] */
static inline void itg_sums_s8(const int8_t *x, int8_t *state, int8_t *out, int32_t *sums)
{
    for (int32_t i = 0; i < 8; i++) {
        const uint32_t next = (uint32_t)state[i] + (uint32_t)x[2 * i] + 128u;
        state[i] = (int8_t)((int32_t)(next & 255u) - 128);
    }
    for (int32_t i = 0; i < 4; i++) {
        out[i] = state[i];
    }
    sums[0] = 0;
    sums[1] = 0;
    for (int32_t i = 0; i < 16; i++) {
        sums[i >= 8] += x[i];
    }
}

#endif
