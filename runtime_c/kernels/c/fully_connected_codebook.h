#ifndef ITG_FULLY_CONNECTED_CODEBOOK_H
#define ITG_FULLY_CONNECTED_CODEBOOK_H

#include <stdint.h>

#include "fully_connected.h"

/* Like itg_fully_connected_s8 for rows = 1, with weights as indices into tables of values (codebook.h), which are
 * used as they are decoded. */
void itg_fully_connected_codebook(const int8_t *in, const uint8_t *tables, const uint16_t *stream, const int32_t *bias,
                                  const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                  const itg_fully_connected_s8_params *p);

#endif
