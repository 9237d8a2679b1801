/* A row of weights as a list of its nonzeros, for conv2d_row.h: where windows are many, each zero is skipped in all. */
#ifndef ITG_CONV2D_NONZEROS_H
#define ITG_CONV2D_NONZEROS_H

#include <stddef.h>
#include <stdint.h>

#include "conv2d.h"
#include "conv2d_row.h"

/* list [size][2]: from the first element of a window to the input that a weight meets, and the weight. Behind it
 * [kernel_h * kernel_w + 1]: how many come before each tap, and all of them. Returns how many there are, or -1 when they
 * are more than `size`, or there is no list: such a row is better taken as it is. */
static inline int32_t itg_conv2d_nonzeros(const int8_t *row, int16_t *list, int32_t size, const itg_conv2d_s8_params *p)
{
    const int32_t row_step = itg_conv2d_row_step(p);
    const int32_t column_step = itg_conv2d_column_step(p);
    int32_t count = 0;
    if (list == NULL) {
        return -1;
    }
    int16_t *before = list + 2 * size;
    for (int32_t ky = 0; ky < p->kernel_h; ky++) {
        for (int32_t kx = 0; kx < p->kernel_w; kx++) {
            const int32_t at = ky * row_step + kx * column_step;
            *before++ = (int16_t)count;
            for (int32_t i = 0; i < p->group_in_c; i++) {
                const int8_t weight = *row++;
                if (weight != 0) {
                    if (count == size) {
                        return -1;
                    }
                    *list++ = (int16_t)(at + i);
                    *list++ = weight;
                    count++;
                }
            }
        }
    }
    *before = (int16_t)count;
    return count;
}

#endif
