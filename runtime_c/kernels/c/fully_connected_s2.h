#ifndef ITG_FULLY_CONNECTED_S2_H
#define ITG_FULLY_CONNECTED_S2_H

#include <stdint.h>

#include "fully_connected.h"

/* Like itg_fully_connected_s8 with weights of 2 bits: weights [out_c][bytes], a channel's [in_c] from a byte on. Each
 * weight is used once a row of the input, so that it is unpacked where it is used. */
void itg_fully_connected_s2(const int8_t *in, const uint8_t *weights, const int32_t *bias, const int32_t *multiplier,
                            const int8_t *shift, int8_t *out, const itg_fully_connected_s8_params *p);

#endif
