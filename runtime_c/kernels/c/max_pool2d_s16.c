#include "max_pool2d_s16.h"

#include "fixed.h"

void itg_max_pool2d_s16(const int16_t *in, int16_t *out, const itg_pool2d_params *p)
{
    const int32_t channels = p->channels;
    for (int32_t oy = 0; oy < p->out_h; oy++) {
        for (int32_t ox = 0; ox < p->out_w; ox++, out += channels) {
            const itg_pool2d_window v = itg_pool2d_window_at(oy, ox, p);
            for (int32_t c = 0; c < channels; c++) {
                out[c] = INT16_MIN;
            }
            /* All channels of one pixel after another: both sides are read in order. */
            for (int32_t y = 0; y < v.h; y++) {
                const int16_t *pixel = in + ((v.y + y) * p->in_w + v.x) * channels;
                for (int32_t x = 0; x < v.w; x++, pixel += channels) {
                    for (int32_t c = 0; c < channels; c++) {
                        out[c] = pixel[c] > out[c] ? pixel[c] : out[c];
                    }
                }
            }
            for (int32_t c = 0; c < channels; c++) {
                out[c] = (int16_t)itg_clamp(out[c], p->out_min, p->out_max);
            }
        }
    }
}
