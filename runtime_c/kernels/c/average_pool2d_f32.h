#ifndef ITG_AVERAGE_POOL2D_F32_H
#define ITG_AVERAGE_POOL2D_F32_H

#include "pool_f32.h"

/* in [in_h][in_w][channels], out [out_h][out_w][channels]; no window is all padding */
void itg_average_pool2d_f32(const float *in, float *out, const itg_pool2d_f32_params *p);

#endif
