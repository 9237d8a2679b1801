/* What average and max pooling of floats share. */
#ifndef ITG_POOL_F32_H
#define ITG_POOL_F32_H

#include "pool.h"

typedef struct {
    int32_t in_h, in_w, channels;
    int32_t out_h, out_w;
    int32_t kernel_h, kernel_w;
    int32_t stride_h, stride_w;
    int32_t pad_top, pad_left;
    float out_min, out_max; /* what the fused activation leaves */
} itg_pool2d_f32_params;

static inline itg_pool2d_window itg_pool2d_f32_window_at(int32_t out_y, int32_t out_x, const itg_pool2d_f32_params *p)
{
    itg_pool2d_window v;
    itg_pool2d_clip(out_y * p->stride_h - p->pad_top, p->kernel_h, p->in_h, &v.y, &v.h);
    itg_pool2d_clip(out_x * p->stride_w - p->pad_left, p->kernel_w, p->in_w, &v.x, &v.w);
    return v;
}

#endif
