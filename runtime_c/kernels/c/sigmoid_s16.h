#ifndef ITG_SIGMOID_S16_H
#define ITG_SIGMOID_S16_H

#include <stdint.h>

#define ITG_SIGMOID_STEPS 255 /* lines between the 256 points of the table */

typedef struct {
    int32_t count;
    int32_t multiplier, shift; /* x * multiplier / 2^shift is 3 * 4096 times the real number */
    int32_t fraction; /* bits of that which lie between two points: 9 for LOGISTIC, 8 for TANH, twice as steep */
    int32_t top; /* where the curve ends, in units of 2^-(16 + fraction) */
    int32_t lift; /* what a result of 0 becomes: half of the output's range for LOGISTIC */
    int32_t out_shift;
} itg_sigmoid_s16_params;

/* LOGISTIC and TANH: table [256] holds the sigmoid of i / 24 as a part of 2^16; in and out may be the same buffer */
void itg_sigmoid_s16(const int16_t *in, const uint16_t *table, int16_t *out, const itg_sigmoid_s16_params *p);

#endif
