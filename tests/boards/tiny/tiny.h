/* A model made by hand, with all that an emitted one may have: two layers, arena, state, a view. */
#ifndef TINY_H
#define TINY_H

#include <stdint.h>

#define TINY_ARENA_BYTES 24
#define TINY_INPUT_BYTES 16
#define TINY_OUTPUT_BYTES 12

#ifdef __cplusplus
extern "C" {
#endif

extern union tiny_arena {
    uint8_t bytes[TINY_ARENA_BYTES];
    int32_t words[TINY_ARENA_BYTES / 4];
} tiny_arena;

void tiny_reset(void);
void tiny_run(const int8_t *in, int8_t *out, int32_t *sums);

#ifdef __cplusplus
}
#endif

#endif
