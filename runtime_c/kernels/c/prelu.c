#include "prelu.h"

#include "fixed.h"

void itg_prelu_s8(const int8_t *x, const int8_t *alpha, int8_t *out, const itg_prelu_s8_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_x = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_alpha = p->step_b[ITG_BROADCAST_LOOPS - 1];
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const int32_t distance = x[row.a + i * step_x] + p->x_offset;
            const int32_t slope = alpha[row.b + i * step_alpha] + p->alpha_offset;
            const int32_t y = distance >= 0 ? itg_requantize(distance, p->multiplier, p->shift)
                                            : itg_requantize(distance * slope, p->alpha_multiplier, p->alpha_shift);
            *out++ = (int8_t)itg_clamp(y + p->out_offset, INT8_MIN, INT8_MAX);
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
