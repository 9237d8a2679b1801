#ifndef ITG_FULLY_CONNECTED_TANS_H
#define ITG_FULLY_CONNECTED_TANS_H

#include <stdint.h>

#include "fully_connected.h"

/* Like itg_fully_connected_s8 for rows = 1, with weights as tANS codes (tans.h), which are used as they are decoded. */
void itg_fully_connected_tans(const int8_t *in, const uint8_t *tables, const uint16_t *stream, const int32_t *bias,
                              const int32_t *multiplier, const int8_t *shift, int8_t *out, int32_t *entries,
                              const itg_fully_connected_s8_params *p);

#endif
