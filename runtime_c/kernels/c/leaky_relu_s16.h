#ifndef ITG_LEAKY_RELU_S16_H
#define ITG_LEAKY_RELU_S16_H

#include <stdint.h>

typedef struct {
    int32_t count;
    int32_t above_multiplier, above_shift; /* in_scale / out_scale, where the input is not negative */
    int32_t below_multiplier, below_shift; /* the same times the magnitude of alpha, elsewhere */
    int32_t below_sign; /* of alpha, 1 or -1 */
} itg_leaky_relu_s16_params;

/* in and out may be the same buffer */
void itg_leaky_relu_s16(const int16_t *in, int16_t *out, const itg_leaky_relu_s16_params *p);

#endif
