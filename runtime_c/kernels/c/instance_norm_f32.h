#ifndef ITG_INSTANCE_NORM_F32_H
#define ITG_INSTANCE_NORM_F32_H

#include <stdint.h>

typedef struct {
    int32_t images, pixels, channels;
    float epsilon;
} itg_instance_norm_f32_params;

/* As itg_instance_norm_s8. */
void itg_instance_norm_f32(const float *in, const float *scale, const float *offset, float *out,
                           const itg_instance_norm_f32_params *p);

#endif
