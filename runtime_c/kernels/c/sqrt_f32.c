#include "sqrt_f32.h"

#include <math.h>

void itg_sqrt_f32(const float *in, float *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = sqrtf(in[i]);
    }
}
