#ifndef ITG_MAX_POOL2D_F32_H
#define ITG_MAX_POOL2D_F32_H

#include "pool_f32.h"

/* in [in_h][in_w][channels], out [out_h][out_w][channels]; a window that is all padding gives the lowest float */
void itg_max_pool2d_f32(const float *in, float *out, const itg_pool2d_f32_params *p);

#endif
