#ifndef ITG_RESCALE_H
#define ITG_RESCALE_H

#include <stdint.h>

typedef struct {
    int32_t count;
    int32_t in_offset; /* minus the input's zero point */
    int32_t multiplier, shift; /* in_scale / out_scale */
    int32_t out_offset; /* the output's zero point */
    int32_t out_min, out_max;
} itg_rescale_params;

/* out = clamp(in at the output's scale): QUANTIZE from integers with 16 bits on either side, and RELU of int16, whose
 * in and out may be the same buffer */
void itg_rescale_s16(const int16_t *in, int16_t *out, const itg_rescale_params *p);
void itg_rescale_s16_s8(const int16_t *in, int8_t *out, const itg_rescale_params *p);
void itg_rescale_s8_s16(const int8_t *in, int16_t *out, const itg_rescale_params *p);

#endif
