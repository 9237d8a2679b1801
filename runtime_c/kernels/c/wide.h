/* Arithmetic of int16 activations with int8 weights: sums and biases of 64 bits, as the TFLite specification's 16x8
 * quantization has them. toolchain/intaglio/ops/wide.py is the same in NumPy. */
#ifndef ITG_WIDE_H
#define ITG_WIDE_H

#include <stdint.h>

/* So many products of an int16 and an int8 fit 32 bits, whatever they are: 511 * 2^22 < 2^31. */
#define ITG_WIDE_RUN 511

/* The sum of products, in 32 bits as long as that is certain to hold it: 64 bits cost more in the innermost loop. */
static inline int64_t itg_wide_dot(const int16_t *in, const int8_t *weights, int32_t length)
{
    int64_t sum = 0;
    while (length > 0) {
        const int32_t run = length < ITG_WIDE_RUN ? length : ITG_WIDE_RUN;
        int32_t part = 0;
        for (int32_t i = 0; i < run; i++) {
            part += weights[i] * in[i];
        }
        sum += part;
        in += run;
        weights += run;
        length -= run;
    }
    return sum;
}

/* x * multiplier / 2^shift, rounded half up and clamped; |x| < 2^47, multiplier in 0..2^15 - 1, shift in 8..46 */
static inline int16_t itg_wide_requantize(int64_t x, int32_t multiplier, int32_t shift, int32_t lo, int32_t hi)
{
    const int64_t y = (x * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
    return (int16_t)(y < lo ? lo : (y > hi ? hi : y));
}

#endif
