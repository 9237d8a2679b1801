#include "silu_f32.h"

#include <math.h>

void itg_silu_f32(const float *in, float *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = in[i] / (1.0f + expf(-in[i]));
    }
}
