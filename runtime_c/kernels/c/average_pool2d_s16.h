#ifndef ITG_AVERAGE_POOL2D_S16_H
#define ITG_AVERAGE_POOL2D_S16_H

#include "pool.h"

/* in [in_h][in_w][channels], out [out_h][out_w][channels]; no window is all padding */
void itg_average_pool2d_s16(const int16_t *in, int16_t *out, const itg_pool2d_params *p);

#endif
