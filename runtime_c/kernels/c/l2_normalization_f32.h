#ifndef ITG_L2_NORMALIZATION_F32_H
#define ITG_L2_NORMALIZATION_F32_H

#include <stdint.h>

typedef struct {
    int32_t rows, row_size;
    float epsilon; /* a row's length counts as so much at least */
} itg_l2_normalization_f32_params;

/* in and out [rows][row_size], each row divided by its length; they may be the same buffer */
void itg_l2_normalization_f32(const float *in, float *out, const itg_l2_normalization_f32_params *p);

#endif
