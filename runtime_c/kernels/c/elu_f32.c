#include "elu_f32.h"

#include <math.h>

void itg_elu_f32(const float *in, float alpha, float *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = in[i] > 0.0f ? in[i] : alpha * expm1f(in[i]);
    }
}
