#ifndef ITG_SOFTMAX_F32_H
#define ITG_SOFTMAX_F32_H

#include <stdint.h>

typedef struct {
    int32_t rows, row_size;
    float beta;
} itg_softmax_f32_params;

/* in and out [rows][row_size]; they may be the same buffer */
void itg_softmax_f32(const float *in, float *out, const itg_softmax_f32_params *p);

#endif
