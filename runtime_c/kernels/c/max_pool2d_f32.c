#include "max_pool2d_f32.h"

#include <float.h>

#include "clamp_f32.h"

void itg_max_pool2d_f32(const float *in, float *out, const itg_pool2d_f32_params *p)
{
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const itg_pool2d_window v = itg_pool2d_f32_window_at(oy, ox, p);
            for (int32_t c = 0; c < p->channels; c++) {
                float largest = -FLT_MAX;
                for (int32_t y = v.y; y < v.y + v.h; y++) {
                    for (int32_t x = v.x; x < v.x + v.w; x++) {
                        const float value = in[(y * p->in_w + x) * p->channels + c];
                        largest = value > largest ? value : largest;
                    }
                }
                *out++ = itg_clamp_f32(largest, p->out_min, p->out_max);
            }
        }
    }
}
