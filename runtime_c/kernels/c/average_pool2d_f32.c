#include "average_pool2d_f32.h"

#include "clamp_f32.h"

void itg_average_pool2d_f32(const float *in, float *out, const itg_pool2d_f32_params *p)
{
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++) {
            const itg_pool2d_window v = itg_pool2d_f32_window_at(oy, ox, p);
            for (int32_t c = 0; c < p->channels; c++) {
                float sum = 0.0f;
                for (int32_t y = v.y; y < v.y + v.h; y++) {
                    for (int32_t x = v.x; x < v.x + v.w; x++) {
                        sum += in[(y * p->in_w + x) * p->channels + c];
                    }
                }
                *out++ = itg_clamp_f32(sum / (float)(v.h * v.w), p->out_min, p->out_max);
            }
        }
    }
}
