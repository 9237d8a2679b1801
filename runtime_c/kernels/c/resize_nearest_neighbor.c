#include "resize_nearest_neighbor.h"

#include <string.h>

void itg_resize_nearest_neighbor(const void *in, const int16_t *row, const int16_t *column, void *out,
                                 const itg_resize_nearest_neighbor_params *p)
{
    const int32_t out_row_bytes = p->out_w * p->pixel_bytes;
    uint8_t *to = (uint8_t *)out;
    for (int32_t y = 0; y < p->out_h; y++, to += out_row_bytes) {
        /* An enlarged row repeats: copy it from the output, in one go. */
        if (y > 0 && row[y] == row[y - 1]) {
            memcpy(to, to - out_row_bytes, (size_t)out_row_bytes);
            continue;
        }
        const uint8_t *from = (const uint8_t *)in + row[y] * p->in_row_bytes;
        for (int32_t x = 0; x < p->out_w; x++) {
            memcpy(to + x * p->pixel_bytes, from + column[x] * p->pixel_bytes, (size_t)p->pixel_bytes);
        }
    }
}
