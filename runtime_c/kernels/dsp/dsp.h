/* Instructions of cores with the DSP extension (Cortex-M4, M7, M33, M55, ...) by the names that Arm gives them.
 *
 * Elsewhere the same in C, so that kernels of this folder can be tested on any machine. A word holds two int16 or four
 * int8, the first in the lowest bits. */
#ifndef ITG_DSP_H
#define ITG_DSP_H

#include <stdint.h>
#include <string.h>

/* Four bytes from any address. */
static inline uint32_t itg_load32(const void *from)
{
    uint32_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32)

#include <arm_acle.h>

/* sum + a.0 * b.0 + a.1 * b.1 of int16, modulo 2^32 */
static inline uint32_t itg_smlad(uint32_t a, uint32_t b, uint32_t sum)
{
    return (uint32_t)__smlad((int16x2_t)a, (int16x2_t)b, (int32_t)sum);
}

/* bytes 0 and 2 as two int16 */
static inline uint32_t itg_sxtb16(uint32_t bytes)
{
    return (uint32_t)__sxtb16((int8x4_t)bytes);
}

/* bytes 1 and 3 as two int16 */
static inline uint32_t itg_sxtb16_ror8(uint32_t bytes)
{
    uint32_t words;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(words) : "r"(bytes));
    return words;
}

#else

static inline uint32_t itg_smlad(uint32_t a, uint32_t b, uint32_t sum)
{
    const int32_t first = (int16_t)(uint16_t)a * (int16_t)(uint16_t)b;
    const int32_t second = (int16_t)(uint16_t)(a >> 16) * (int16_t)(uint16_t)(b >> 16);
    return sum + (uint32_t)first + (uint32_t)second;
}

static inline uint32_t itg_sxtb16(uint32_t bytes)
{
    const uint16_t first = (uint16_t)(int8_t)(uint8_t)bytes;
    const uint16_t second = (uint16_t)(int8_t)(uint8_t)(bytes >> 16);
    return first | (uint32_t)second << 16;
}

static inline uint32_t itg_sxtb16_ror8(uint32_t bytes)
{
    return itg_sxtb16(bytes >> 8 | bytes << 24);
}

#endif

#endif
