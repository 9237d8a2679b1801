#include "squared_difference.h"

#include "fixed.h"

void itg_squared_difference_s8(const int8_t *a, const int8_t *b, int8_t *out,
                               const itg_squared_difference_s8_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_a = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_b = p->step_b[ITG_BROADCAST_LOOPS - 1];
    const int32_t headroom = 1 << ITG_SQUARED_DIFFERENCE_HEADROOM;
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const int32_t left = (a[row.a + i * step_a] + p->a_offset) * headroom;
            const int32_t right = (b[row.b + i * step_b] + p->b_offset) * headroom;
            /* Each scaled by a half at most: the difference is below 2^15. */
            const int32_t difference = itg_requantize(left, p->a_multiplier, p->a_shift)
                                       - itg_requantize(right, p->b_multiplier, p->b_shift);
            const int32_t y = itg_requantize(difference * difference, p->out_multiplier, p->out_shift);
            *out++ = (int8_t)itg_clamp(y + p->out_offset, INT8_MIN, INT8_MAX);
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
