/* Mean 0 and variance 1 in integers. toolchain/intaglio/ops/normalization.py says what it means, and is the same. */
#ifndef ITG_NORMALIZATION_H
#define ITG_NORMALIZATION_H

#include "fixed.h"

/* What turns a number q of a group into one of mean 0 and variance 1: (count * q - sum) * multiplier / 2^shift. */
typedef struct {
    int32_t sum;
    int64_t multiplier;
    int32_t shift;
} itg_normalizer;

/* floor(sqrt(n)) for n in [2^60, 2^62), a bit a step from the highest */
static inline int64_t itg_floor_sqrt(int64_t n)
{
    int64_t root = 0;
    for (int64_t bit = (int64_t)1 << 30; bit > 0; bit >>= 1) {
        const int64_t larger = root + bit;
        root = larger * larger <= n ? larger : root;
    }
    return root;
}

/* From the sums of a group's numbers and of their squares; the result has fraction_bits. */
static inline itg_normalizer itg_normalizer_of(int32_t count, int32_t sum, int32_t squares, int64_t epsilon,
                                               int32_t fraction_bits)
{
    /* The variance times count^2, at least 1 and below 2^62; the comparison is for `make prove`, which cannot know. */
    const int64_t squared = (int64_t)count * squares - (int64_t)sum * sum + epsilon;
    int64_t n = squared > 1 ? squared : 1;
    itg_normalizer result = {sum, 0, 61 - fraction_bits};
    while (n < (int64_t)1 << 52) {
        n *= 256;
        result.shift -= 4;
    }
    while (n < (int64_t)1 << 60) {
        n *= 4;
        result.shift--;
    }
    result.multiplier = ((int64_t)1 << 61) / itg_floor_sqrt(n);
    return result;
}

/* q, a number of the group, at mean 0 and variance 1 */
static inline int32_t itg_normalize(int32_t q, int32_t count, const itg_normalizer *by)
{
    const int64_t product = (count * q - by->sum) * by->multiplier;
    return (int32_t)((product + ((int64_t)1 << (by->shift - 1))) >> by->shift);
}

#endif
