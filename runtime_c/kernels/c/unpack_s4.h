/* Weights of 4 bits: two a byte, the first in the lower half, two's complement. */
#ifndef ITG_UNPACK_S4_H
#define ITG_UNPACK_S4_H

#include <stdint.h>

static inline int32_t itg_s4_low(uint32_t byte)
{
    return (int32_t)(byte << 28) >> 28;
}

static inline int32_t itg_s4_high(uint32_t byte)
{
    return (int32_t)(byte << 24) >> 28;
}

/* `count` weights from the beginning of a byte on */
static inline void itg_unpack_s4(const uint8_t *packed, int32_t count, int8_t *out)
{
    for (; count >= 2; count -= 2) {
        const uint32_t byte = *packed++;
        *out++ = (int8_t)itg_s4_low(byte);
        *out++ = (int8_t)itg_s4_high(byte);
    }
    if (count > 0) {
        *out = (int8_t)itg_s4_low(*packed);
    }
}

/* `count` weights, number `at` and each `step` after it */
static inline void itg_unpack_s4_every(const uint8_t *packed, int32_t at, int32_t step, int32_t count, int8_t *out)
{
    for (int32_t i = 0; i < count; i++, at += step) {
        const uint32_t byte = packed[at >> 1];
        out[i] = (int8_t)((at & 1) != 0 ? itg_s4_high(byte) : itg_s4_low(byte));
    }
}

#endif
