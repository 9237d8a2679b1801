#include "resize_bilinear.h"

#include "fixed.h"

void itg_resize_bilinear_s8(const int8_t *in, int8_t *out, const itg_resize_bilinear_s8_params *p)
{
    const int32_t one = 1 << ITG_RESIZE_BILINEAR_BITS;
    for (int32_t y = 0; y < p->out_h; y++) {
        const int8_t *above = in + p->row_low[y] * p->in_w * p->channels;
        const int8_t *below = in + p->row_high[y] * p->in_w * p->channels;
        const int32_t down = p->row_weight[y];
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t left = p->column_low[x] * p->channels;
            const int32_t right = p->column_high[x] * p->channels;
            const int32_t across = p->column_weight[x];
            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t upper = above[left + c] * (one - across) + above[right + c] * across;
                const int32_t lower = below[left + c] * (one - across) + below[right + c] * across;
                const int32_t mean = upper * (one - down) + lower * down;
                *out++ = (int8_t)itg_rounding_shift(mean, 2 * ITG_RESIZE_BILINEAR_BITS);
            }
        }
    }
}
