/* A model made by hand, with all that an emitted one may have: two layers, arena, state, a view. */
#ifndef TINY_H
#define TINY_H

#include <stdint.h>

#define ITG_TINY_ARENA_BYTES 24
#define ITG_TINY_INPUT_BYTES 16
#define ITG_TINY_OUTPUT_BYTES 12

#ifdef __cplusplus
extern "C" {
#endif

extern uint8_t tiny_arena[ITG_TINY_ARENA_BYTES];

void tiny_reset(void);
void tiny_run(const int8_t *in, int8_t *out, int32_t *sums);

#ifdef __cplusplus
}
#endif

#endif
