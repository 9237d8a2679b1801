#include "relu_f32.h"

#include "clamp_f32.h"

void itg_relu_f32(const float *in, float low, float high, float *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = itg_clamp_f32(in[i], low, high);
    }
}
