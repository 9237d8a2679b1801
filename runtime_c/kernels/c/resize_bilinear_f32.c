#include "resize_bilinear_f32.h"

void itg_resize_bilinear_f32(const float *in, float *out, const itg_resize_bilinear_f32_params *p)
{
    for (int32_t y = 0; y < p->out_h; y++) {
        const float *above = in + p->row_low[y] * p->in_w * p->channels;
        const float *below = in + p->row_high[y] * p->in_w * p->channels;
        const float down = p->row_weight[y];
        for (int32_t x = 0; x < p->out_w; x++) {
            const int32_t left = p->column_low[x] * p->channels;
            const int32_t right = p->column_high[x] * p->channels;
            const float across = p->column_weight[x];
            for (int32_t c = 0; c < p->channels; c++) {
                const float upper = above[left + c] * (1.0f - across) + above[right + c] * across;
                const float lower = below[left + c] * (1.0f - across) + below[right + c] * across;
                *out++ = upper * (1.0f - down) + lower * down;
            }
        }
    }
}
