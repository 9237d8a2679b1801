#include "div_f32.h"

#include "clamp_f32.h"

void itg_div_f32(const float *a, const float *b, float *out, const itg_div_f32_params *p)
{
    const int32_t row_size = p->size[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_a = p->step_a[ITG_BROADCAST_LOOPS - 1];
    const int32_t step_b = p->step_b[ITG_BROADCAST_LOOPS - 1];
    itg_broadcast_row row = {0, 0, {0, 0, 0}};
    do {
        for (int32_t i = 0; i < row_size; i++) {
            const float y = a[row.a + i * step_a] / b[row.b + i * step_b];
            *out++ = itg_clamp_f32(y, p->out_min, p->out_max);
        }
    } while (itg_broadcast_next(&row, p->size, p->step_a, p->step_b));
}
