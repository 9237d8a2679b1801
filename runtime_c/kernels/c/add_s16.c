#include "add_s16.h"

#include "fixed.h"

void itg_add_s16(const int16_t *a, const int16_t *b, int16_t *out, const itg_add_s16_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_a = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_b = p->step_b[ITG_BROADCAST_LOOPS - 1];
    const int32_t headroom = 1 << ITG_ADD_S16_HEADROOM;
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const int32_t left = a[row.a + i * step_a] * headroom;
            const int32_t right = b[row.b + i * step_b] * headroom;
            int32_t sum = itg_requantize(left, p->a_multiplier, p->a_shift);
            sum += p->sign_b * itg_requantize(right, p->b_multiplier, p->b_shift);
            sum = itg_requantize(sum, p->out_multiplier, p->out_shift);
            *out++ = (int16_t)itg_clamp(sum, p->out_min, p->out_max);
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
