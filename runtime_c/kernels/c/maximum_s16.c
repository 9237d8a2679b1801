#include "maximum_s16.h"

void itg_maximum_s16(const int16_t *a, const int16_t *b, int16_t *out, const itg_maximum_s16_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_a = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_b = p->step_b[ITG_BROADCAST_LOOPS - 1];
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const int16_t x = a[row.a + i * step_a];
            const int16_t y = b[row.b + i * step_b];
            *out++ = (x - y) * p->sign > 0 ? x : y;
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
