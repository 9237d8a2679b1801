/* Weights as nonzeros and how many zeros lie before each (lower/encodings/relative.py). Rows come one after another
 * from the first on, and gaps reach over their ends. */
#ifndef ITG_RELATIVE_H
#define ITG_RELATIVE_H

#include <stdint.h>

typedef struct {
    const uint8_t *gaps;
    const int8_t *values; /* 0 where a gap is longer than a byte says: a zero takes the place of a nonzero */
    int32_t gap; /* zeros before the next nonzero, counted from the beginning of the row */
} itg_relative;

static inline void itg_relative_begin(itg_relative *d, const uint8_t *gaps, const int8_t *values)
{
    d->gap = *gaps++;
    d->gaps = gaps;
    d->values = values;
}

/* The next row: int8 [length] */
static inline void itg_relative_row(itg_relative *d, int8_t *row, int32_t length)
{
    int32_t at = 0;
    int32_t next = d->gap;
    for (; next < length; next += 1 + *d->gaps++) {
        while (at < next) {
            row[at++] = 0;
        }
        row[at++] = *d->values++;
    }
    while (at < length) {
        row[at++] = 0;
    }
    d->gap = next - length;
}

#endif
