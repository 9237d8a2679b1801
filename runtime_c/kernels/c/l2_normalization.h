#ifndef ITG_L2_NORMALIZATION_H
#define ITG_L2_NORMALIZATION_H

#include <stdint.h>

/* Fraction bits of the output: its scale is 1/128. */
#define ITG_L2_NORMALIZATION_OUTPUT_BITS 7

typedef struct {
    int32_t rows, row_size;
    int32_t in_offset; /* minus the input's zero point */
} itg_l2_normalization_s8_params;

/* in and out [rows][row_size], each row divided by its length; out may be in. */
void itg_l2_normalization_s8(const int8_t *in, int8_t *out, const itg_l2_normalization_s8_params *p);

#endif
