#ifndef ITG_FULLY_CONNECTED_SPARSE_H
#define ITG_FULLY_CONNECTED_SPARSE_H

#include <stdint.h>

#include "fully_connected.h"

/* Like itg_fully_connected_s8 for rows = 1, with weights as a bitmap and the nonzeros (sparse.h), which are used as
 * they are decoded. */
void itg_fully_connected_sparse(const int8_t *in, const uint8_t *bitmap, const int8_t *values, const int32_t *bias,
                                const int32_t *multiplier, const int8_t *shift, int8_t *out,
                                const itg_fully_connected_s8_params *p);

#endif
