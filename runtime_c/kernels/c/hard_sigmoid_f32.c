#include "hard_sigmoid_f32.h"

#include "clamp_f32.h"

void itg_hard_sigmoid_f32(const float *in, float alpha, float beta, float *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        out[i] = itg_clamp_f32(alpha * in[i] + beta, 0.0f, 1.0f);
    }
}
