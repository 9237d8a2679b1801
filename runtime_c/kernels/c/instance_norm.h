#ifndef ITG_INSTANCE_NORM_H
#define ITG_INSTANCE_NORM_H

#include <stdint.h>

typedef struct {
    int32_t images, pixels, channels;
    int32_t epsilon_high, epsilon_low; /* epsilon in the unit of the variance times count^2: high * 2^30 + low */
    int32_t fraction_bits; /* of the normalized numbers */
    int32_t multiplier, shift; /* scale of `scale` / 2^fraction_bits / out_scale */
    int32_t out_offset; /* the output's zero point */
} itg_instance_norm_s8_params;

/* in and out [images][pixels][channels], scale and offset [channels], offset null for zeros: each channel of an image
 * at mean 0 and variance 1, times scale, plus offset. out may be in. */
void itg_instance_norm_s8(const int8_t *in, const int16_t *scale, const int32_t *offset, int8_t *out,
                          const itg_instance_norm_s8_params *p);

#endif
