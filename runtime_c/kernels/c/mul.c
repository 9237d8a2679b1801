#include "mul.h"

#include "fixed.h"

void itg_mul_s8(const int8_t *a, const int8_t *b, int8_t *out, const itg_mul_s8_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_a = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_b = p->step_b[ITG_BROADCAST_LOOPS - 1];
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const int32_t product = (a[row.a + i * step_a] + p->a_offset) * (b[row.b + i * step_b] + p->b_offset);
            const int32_t y = itg_requantize(product, p->multiplier, p->shift) + p->out_offset;
            *out++ = (int8_t)itg_clamp(y, p->out_min, p->out_max);
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
