#ifndef ITG_SOFTMAX_H
#define ITG_SOFTMAX_H

#include <stdint.h>

typedef struct {
    int32_t rows;
    int32_t row_size; /* 1..4095: the sum of that many exponentials fits */
    int32_t table_size; /* 1..256 */
} itg_softmax_s8_params;

/* in and out [rows][row_size]; exp [table_size] is e^(-i * beta * scale) in Q0.31, as good as 0 from there on.
 * The output has scale 1/256 and zero point -128. in and out may be the same buffer. */
void itg_softmax_s8(const int8_t *in, const int32_t *exp, int8_t *out, const itg_softmax_s8_params *p);

#endif
