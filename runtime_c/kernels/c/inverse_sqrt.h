/* 1 / sqrt(n) in fixed point. toolchain/intaglio/ops/inverse_sqrt.py is the same in NumPy. */
#ifndef ITG_INVERSE_SQRT_H
#define ITG_INVERSE_SQRT_H

#include "fixed.h"

/* x * 2^e, clamped to 32 bits */
static inline int32_t itg_saturating_shift_left(int32_t x, int32_t e)
{
    const int64_t wide = (int64_t)x * ((int64_t)1 << e);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* A multiplier, with its shift, for itg_requantize, so that x becomes x / sqrt(n); n >= 0, and 0 counts as 1. Five
 * steps of Newton's method in Q3.28, on n brought between a half and two by a power of four. */
static inline int32_t itg_inverse_sqrt(int32_t n, int32_t *shift)
{
    int32_t exponent = 11;
    if (n <= 1) {
        *shift = 0;
        return INT32_MAX;
    }
    while (n >= 1 << 29) {
        n /= 4;
        exponent++;
    }
    while (n < 1 << 27) {
        n *= 4;
        exponent--;
    }
    const int32_t half = itg_rounding_shift(n >> 1, 1);
    int32_t x = 1 << 28;
    for (int32_t i = 0; i < 5; i++) {
        const int32_t square = itg_doubling_high_mul(x, x);
        const int32_t cube = itg_saturating_shift_left(itg_doubling_high_mul(square, x), 6);
        /* x * (3/2 - n/2 * x^2) */
        const int32_t next = itg_doubling_high_mul(3 << 27, x) - itg_doubling_high_mul(half, cube);
        x = itg_saturating_shift_left(next, 3);
    }
    x = itg_doubling_high_mul(x, 1518500250); /* sqrt(1/2) */
    if (exponent < 0) {
        x = itg_shift_left(x, -exponent);
        exponent = 0;
    }
    *shift = -exponent;
    return x;
}

#endif
