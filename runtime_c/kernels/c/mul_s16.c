#include "mul_s16.h"

#include "fixed.h"

void itg_mul_s16(const int16_t *a, const int16_t *b, int16_t *out, const itg_mul_s16_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_a = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_b = p->step_b[ITG_BROADCAST_LOOPS - 1];
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const int32_t product = a[row.a + i * step_a] * b[row.b + i * step_b];
            const int32_t y = itg_requantize(product, p->multiplier, p->shift);
            *out++ = (int16_t)itg_clamp(y, p->out_min, p->out_max);
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
