#ifndef ITG_STRIDED_COPY_H
#define ITG_STRIDED_COPY_H

#include <stdint.h>

#define ITG_STRIDED_COPY_RANK 6

/* All in bytes. Loops are listed outermost first; each copies `run` bytes that lie together on both sides. */
typedef struct {
    int32_t in_offset, out_offset; /* of the first run */
    int32_t run;
    int32_t rank; /* loops in use, 1..ITG_STRIDED_COPY_RANK */
    int32_t size[ITG_STRIDED_COPY_RANK]; /* iterations */
    int32_t in_step[ITG_STRIDED_COPY_RANK]; /* from one iteration to the next; negative: backwards */
    int32_t out_step[ITG_STRIDED_COPY_RANK];
} itg_strided_copy_params;

/* Copies an n-dimensional box of any element type: slices, transpositions, parts of a concatenation. The buffers do not
 * overlap. */
void itg_strided_copy(const void *in, void *out, const itg_strided_copy_params *p);

#endif
