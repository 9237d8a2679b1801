#include "prelu_f32.h"

void itg_prelu_f32(const float *x, const float *alpha, float *out, const itg_prelu_f32_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_x = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_alpha = p->step_b[ITG_BROADCAST_LOOPS - 1];
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const float value = x[row.a + i * step_x];
            *out++ = value >= 0.0f ? value : alpha[row.b + i * step_alpha] * value;
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
