/* Walks two inputs of unlike shape, row by row. */
#ifndef ITG_BROADCAST_H
#define ITG_BROADCAST_H

#include <stdint.h>

/* Nested loops, outermost first; the last one is the row that a kernel runs through itself. */
#define ITG_BROADCAST_LOOPS 4

/* Where a row starts in either input, and the counters of the outer loops. Zeros are the first row. */
typedef struct {
    int32_t a, b;
    int32_t count[ITG_BROADCAST_LOOPS - 1];
} itg_broadcast_row;

/* Steps to the next row, like an odometer; returns 0 after the last. size holds the iterations of each loop, step_a
 * and step_b how far one iteration moves in either input (0 where it is repeated). */
static inline int itg_broadcast_next(itg_broadcast_row *row, const int32_t *size, const int32_t *step_a,
                                     const int32_t *step_b)
{
    for (int32_t d = ITG_BROADCAST_LOOPS - 2; d >= 0; d--) {
        row->a += step_a[d];
        row->b += step_b[d];
        row->count[d]++;
        if (row->count[d] < size[d]) {
            return 1;
        }
        row->a -= size[d] * step_a[d];
        row->b -= size[d] * step_b[d];
        row->count[d] = 0;
    }
    return 0;
}

#endif
