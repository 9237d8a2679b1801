#include "softmax.h"

#include "fixed.h"

#define SUM_BITS 12 /* sums are Q12.19 */
#define ONE (1 << 19) /* what the largest of a row adds to its sum */

/* 1 / sum as a Q0.31 factor and a number of bits to shift right by; sum is Q12.19 and at least 1.
 * Newton-Raphson for 1 / d with d in [1/2, 1), from the linear estimate 48/17 - 32/17 d; the estimate is Q2.29. Nothing
 * wraps, but `make prove` knows intervals alone, and those of unsigned numbers may be as large as they like. */
static int32_t reciprocal(int32_t sum, int32_t *shift)
{
    int32_t d = sum > ONE ? sum : ONE;
    *shift = SUM_BITS - 1;
    while (d < (1 << 30)) {
        d *= 2;
        (*shift)--;
    }
    uint32_t estimate = 1515870810u + (uint32_t)itg_doubling_high_mul(d, -1010580540);
    for (int32_t i = 0; i < 3; i++) {
        const uint32_t error = (1u << 29) - (uint32_t)itg_doubling_high_mul(d, (int32_t)estimate);
        estimate += (uint32_t)itg_doubling_high_mul((int32_t)estimate, (int32_t)error) * 4;
    }
    return estimate < (1u << 30) ? (int32_t)(estimate * 2) : INT32_MAX;
}

static void softmax_row(const int8_t *in, const int32_t *exp, int8_t *out, const itg_softmax_s8_params *p)
{
    int32_t max = INT8_MIN;
    for (int32_t i = 0; i < p->row_size; i++) {
        max = in[i] > max ? in[i] : max;
    }
    int32_t sum = 0;
    for (int32_t i = 0; i < p->row_size; i++) {
        const uint32_t below = (uint32_t)(max - in[i]);
        if (below < (uint32_t)p->table_size) {
            sum += itg_rounding_shift(exp[below], SUM_BITS);
        }
    }
    int32_t shift;
    int32_t scale = reciprocal(sum, &shift);
    if (shift > 8) {
        /* From 512 likely classes on, each is less than half a step. */
        shift = 8;
        scale = 0;
    }
    shift += 31 - 8;
    for (int32_t i = 0; i < p->row_size; i++) {
        const uint32_t below = (uint32_t)(max - in[i]);
        int32_t value = 0;
        if (below < (uint32_t)p->table_size) {
            value = itg_rounding_shift(itg_doubling_high_mul(scale, exp[below]), shift);
        }
        out[i] = (int8_t)(itg_clamp(value, 0, UINT8_MAX) - 128);
    }
}

void itg_softmax_s8(const int8_t *in, const int32_t *exp, int8_t *out, const itg_softmax_s8_params *p)
{
    for (int32_t row = 0; row < p->rows; row++) {
        softmax_row(in + row * p->row_size, exp, out + row * p->row_size, p);
    }
}
