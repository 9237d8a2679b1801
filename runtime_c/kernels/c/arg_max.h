#ifndef ITG_ARG_MAX_H
#define ITG_ARG_MAX_H

#include <stdint.h>

typedef struct {
    int32_t outer, size, inner;
} itg_arg_max_s8_params;

/* in [outer][size][inner], out [outer][inner]: the index of the largest along the middle, the first of equals */
void itg_arg_max_s8(const int8_t *in, int32_t *out, const itg_arg_max_s8_params *p);

#endif
