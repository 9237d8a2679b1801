#include "gelu_f32.h"

#include <math.h>

void itg_gelu_f32(const float *in, int32_t approximate, float *out, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const float x = in[i];
        if (approximate != 0) {
            /* sqrt(2 / pi) */
            out[i] = 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
        } else {
            /* erfc, so that nearly equal numbers are not subtracted far below zero; the factor is 1 / sqrt(2) */
            out[i] = 0.5f * x * erfcf(-0.7071067812f * x);
        }
    }
}
