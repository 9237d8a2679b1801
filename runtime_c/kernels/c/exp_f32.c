#include "exp_f32.h"

#include <float.h>
#include <math.h>

#include "clamp_f32.h"

void itg_exp_f32(const float *in, float *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = itg_clamp_f32(expf(in[i]), 0.0f, FLT_MAX);
    }
}
