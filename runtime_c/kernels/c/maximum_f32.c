#include "maximum_f32.h"

void itg_maximum_f32(const float *a, const float *b, float *out, const itg_maximum_f32_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_a = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_b = p->step_b[ITG_BROADCAST_LOOPS - 1];
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const float x = a[row.a + i * step_a];
            const float y = b[row.b + i * step_b];
            *out++ = (p->sign > 0) == (x > y) ? x : y;
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
