/* Fixed-point arithmetic of the integer kernels. toolchain/intaglio/ops/fixed.py is the same in NumPy.
 *
 * A real factor is multiplier * 2^(shift - 31) with multiplier in [2^30, 2^31). Rounding is that of the TFLite
 * quantization specification as TFLM executes it: a doubling high multiply, then a right shift that rounds half away
 * from zero. */
#ifndef ITG_FIXED_H
#define ITG_FIXED_H

#include <stdint.h>

/* round(a * b / 2^31); the one product that overflows, INT32_MIN squared, saturates */
static inline int32_t itg_doubling_high_mul(int32_t a, int32_t b)
{
    if (a == INT32_MIN && b == INT32_MIN) {
        return INT32_MAX;
    }
    const int64_t ab = (int64_t)a * b;
    /* Half up: adding 2^30 and shifting equals gemmlowp's signed nudge and truncating division. */
    return (int32_t)((ab + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^e, rounded half away from zero; e in 0..31 */
static inline int32_t itg_rounding_shift(int32_t x, int32_t e)
{
    const int32_t mask = (int32_t)(((uint32_t)1 << e) - 1u);
    const int32_t rest = x & mask;
    const int32_t half = (int32_t)((uint32_t)mask >> 1) + (x < 0 ? 1 : 0);
    return (x >> e) + (rest > half ? 1 : 0);
}

/* x * 2^e modulo 2^32: a model whose product leaves 32 bits wraps, as it does in TFLM, without undefined behaviour */
static inline int32_t itg_shift_left(int32_t x, int32_t e)
{
    return (int32_t)((uint32_t)x << e);
}

/* x * multiplier * 2^(shift - 31); shift in -31..30 */
static inline int32_t itg_requantize(int32_t x, int32_t multiplier, int32_t shift)
{
    if (shift > 0) {
        return itg_doubling_high_mul(itg_shift_left(x, shift), multiplier);
    }
    return itg_rounding_shift(itg_doubling_high_mul(x, multiplier), -shift);
}

static inline int32_t itg_clamp(int32_t x, int32_t lo, int32_t hi)
{
    return x < lo ? lo : (x > hi ? hi : x);
}

#endif
