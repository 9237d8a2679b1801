#ifndef ITG_RESIZE_NEAREST_NEIGHBOR_H
#define ITG_RESIZE_NEAREST_NEIGHBOR_H

#include <stdint.h>

typedef struct {
    int32_t out_h, out_w;
    int32_t in_row_bytes;
    int32_t pixel_bytes; /* channels times the bytes of an element */
} itg_resize_nearest_neighbor_params;

/* in [in_h][in_w][channels], out [out_h][out_w][channels], of any element type; row [out_h] and column [out_w] name the
 * input row and column that each output row and column copies. */
void itg_resize_nearest_neighbor(const void *in, const int16_t *row, const int16_t *column, void *out,
                                 const itg_resize_nearest_neighbor_params *p);

#endif
