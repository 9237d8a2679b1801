#include "average_pool2d_s16.h"

#include "fixed.h"

static int32_t window_sum(const int16_t *in, const itg_pool2d_window *v, const itg_pool2d_params *p)
{
    int32_t sum = 0;
    for (int32_t y = 0; y < v->h; y++) {
        const int16_t *row = in + y * p->in_w * p->channels;
        for (int32_t x = 0; x < v->w; x++) {
            sum += row[x * p->channels];
        }
    }
    return sum;
}

void itg_average_pool2d_s16(const int16_t *in, int16_t *out, const itg_pool2d_params *p)
{
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const itg_pool2d_window v = itg_pool2d_window_at(oy, ox, p);
            const int16_t *corner = in + (v.y * p->in_w + v.x) * p->channels;
            const int32_t count = v.h * v.w;
            for (int32_t c = 0; c < p->channels; c++) {
                const int32_t sum = window_sum(corner + c, &v, p);
                /* C's division cuts towards zero, so half a step away from zero first rounds to nearest. */
                const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
                *out++ = (int16_t)itg_clamp(mean, p->out_min, p->out_max);
            }
        }
    }
}
