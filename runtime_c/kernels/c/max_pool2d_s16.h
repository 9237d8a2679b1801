#ifndef ITG_MAX_POOL2D_S16_H
#define ITG_MAX_POOL2D_S16_H

#include "pool.h"

/* in [in_h][in_w][channels], out [out_h][out_w][channels]; a window that is all padding gives out_min */
void itg_max_pool2d_s16(const int16_t *in, int16_t *out, const itg_pool2d_params *p);

#endif
