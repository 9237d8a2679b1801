/* Weights of 2 bits: four a byte, the first in the lowest two, two's complement. */
#ifndef ITG_UNPACK_S2_H
#define ITG_UNPACK_S2_H

#include <stdint.h>

/* number `index` (0 to 3) of a byte */
static inline int32_t itg_s2(uint32_t byte, int32_t index)
{
    return (int32_t)(byte << (30 - 2 * index)) >> 30;
}

/* `count` weights from the beginning of a byte on */
static inline void itg_unpack_s2(const uint8_t *packed, int32_t count, int8_t *out)
{
    for (; count >= 4; count -= 4) {
        const uint32_t byte = *packed++;
        *out++ = (int8_t)itg_s2(byte, 0);
        *out++ = (int8_t)itg_s2(byte, 1);
        *out++ = (int8_t)itg_s2(byte, 2);
        *out++ = (int8_t)itg_s2(byte, 3);
    }
    for (int32_t i = 0; i < count; i++) {
        *out++ = (int8_t)itg_s2(*packed, i);
    }
}

/* `count` weights, number `at` and each `step` after it */
static inline void itg_unpack_s2_every(const uint8_t *packed, int32_t at, int32_t step, int32_t count, int8_t *out)
{
    for (int32_t i = 0; i < count; i++, at += step) {
        out[i] = (int8_t)itg_s2(packed[at >> 2], at & 3);
    }
}

#endif
