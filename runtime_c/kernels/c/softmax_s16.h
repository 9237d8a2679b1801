#ifndef ITG_SOFTMAX_S16_H
#define ITG_SOFTMAX_S16_H

#include <stdint.h>

#define ITG_SOFTMAX_POINTS 513 /* of a table: a line every 128 of the 65,536 values of an int16 */

typedef struct {
    int32_t rows;
    int32_t row_size; /* 1..65535: the sum of that many exponentials fits */
    int32_t multiplier, shift; /* from the input's scale to one at which -65535 is -10 */
} itg_softmax_s16_params;

/* in and out [rows][row_size]; exp [513] is e^(10 * (i / 512 - 1)), inverse [513] is 1 / (1 + i / 512), both in Q0.15.
 * The output has scale 1/32768. in and out may be the same buffer: the exponentials are kept in out. */
void itg_softmax_s16(const int16_t *in, const int16_t *exp, const int16_t *inverse, int16_t *out,
                     const itg_softmax_s16_params *p);

#endif
