#include "softmax_s16.h"

#include "fixed.h"

/* The table's value at x, on the line between its two neighbours. */
static int32_t lookup(int32_t x, const int16_t *table)
{
    const int32_t at = x + 32768;
    const int16_t *point = table + (at >> 7);
    return point[0] + (((point[1] - point[0]) * (at & 127) + 64) >> 7);
}

static void softmax_row(const int16_t *in, const int16_t *exp, const int16_t *inverse, int16_t *out,
                        const itg_softmax_s16_params *p)
{
    int32_t max = INT16_MIN;
    for (int32_t i = 0; i < p->row_size; i++) {
        max = in[i] > max ? in[i] : max;
    }
    int32_t sum = 0; /* Q16.15 */
    for (int32_t i = 0; i < p->row_size; i++) {
        const int32_t below = itg_requantize(in[i] - max, p->multiplier, p->shift);
        const int32_t e = lookup(itg_clamp(below, -65535, 0) + INT16_MAX, exp);
        out[i] = (int16_t)e;
        sum += e;
    }
    /* The sum is (1 + x) * 2^bits with x in [0, 1). */
    int32_t bits = 14;
    while ((sum >> bits) > 1) {
        bits++;
    }
    const int64_t ones = ((int64_t)sum * (1 << (30 - bits)) + (1 << 13)) >> 14; /* 1 + x, as a part of 2^16 */
    const int32_t scale = lookup(itg_clamp((int32_t)ones - 98304, INT16_MIN, INT16_MAX), inverse);
    for (int32_t i = 0; i < p->row_size; i++) {
        out[i] = (int16_t)itg_clamp((out[i] * scale + (1 << (bits - 1))) >> bits, 0, INT16_MAX);
    }
}

void itg_softmax_s16(const int16_t *in, const int16_t *exp, const int16_t *inverse, int16_t *out,
                     const itg_softmax_s16_params *p)
{
    for (int32_t row = 0; row < p->rows; row++) {
        softmax_row(in + row * p->row_size, exp, inverse, out + row * p->row_size, p);
    }
}
