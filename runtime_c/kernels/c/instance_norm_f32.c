#include "instance_norm_f32.h"

#include <math.h>
#include <stddef.h>

static void channel(const float *in, float scale, float offset, float *out, const itg_instance_norm_f32_params *p)
{
    const float count = (float)p->pixels;
    float sum = 0.0f;
    for (int32_t i = 0; i < p->pixels; i++) {
        sum += in[i * p->channels];
    }
    const float mean = sum / count;
    float squares = 0.0f;
    for (int32_t i = 0; i < p->pixels; i++) {
        const float x = in[i * p->channels] - mean;
        squares += x * x;
    }
    const float deviation = sqrtf(squares / count + p->epsilon);
    for (int32_t i = 0; i < p->pixels; i++) {
        out[i * p->channels] = (in[i * p->channels] - mean) / deviation * scale + offset;
    }
}

void itg_instance_norm_f32(const float *in, const float *scale, const float *offset, float *out,
                           const itg_instance_norm_f32_params *p)
{
    for (int32_t image = 0; image < p->images; image++) {
        for (int32_t c = 0; c < p->channels; c++) {
            channel(in + c, scale[c], offset != NULL ? offset[c] : 0.0f, out + c, p);
        }
        in += p->pixels * p->channels;
        out += p->pixels * p->channels;
    }
}
