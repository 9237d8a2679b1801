/* What average and max pooling share. */
#ifndef ITG_POOL_H
#define ITG_POOL_H

#include <stdint.h>

typedef struct {
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    int32_t out_min, out_max; /* what the fused activation leaves */
} itg_pool2d_params;

/* A window without its padding: the first input row and column, and how many there are (0 when it is all padding) */
typedef struct {
    int32_t y, x, h, w;
} itg_pool2d_window;

static inline void itg_pool2d_clip(int32_t start, int32_t length, int32_t limit, int32_t *first, int32_t *count)
{
    const int32_t end = start + length < limit ? start + length : limit;
    *first = start > 0 ? start : 0;
    *count = end > *first ? end - *first : 0;
}

static inline itg_pool2d_window itg_pool2d_window_at(int32_t out_y, int32_t out_x, const itg_pool2d_params *p)
{
    itg_pool2d_window v;
    itg_pool2d_clip(out_y * p->stride_h - p->pad_top, p->kernel_h, p->in_h, &v.y, &v.h);
    itg_pool2d_clip(out_x * p->stride_w - p->pad_left, p->kernel_w, p->in_w, &v.x, &v.w);
    return v;
}

#endif
