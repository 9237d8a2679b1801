/* Weights of which at most N of each 4 are nonzeros: N values and their positions (lower/encodings/nm.py). Groups of 4
 * begin with each row; rows come one after another from the first on. */
#ifndef ITG_NM_H
#define ITG_NM_H

#include <stdint.h>

typedef struct {
    const uint8_t *positions; /* 2 bits a value, the lowest of a byte first */
    const int8_t *values;
    uint32_t bits; /* of the current byte, with a 1 above the last */
    int32_t n; /* values of each 4 weights */
} itg_nm;

static inline void itg_nm_begin(itg_nm *d, const uint8_t *positions, const int8_t *values)
{
    d->n = *positions++;
    d->positions = positions;
    d->values = values;
    d->bits = 1;
}

/* Of the next value, 0 to 3 */
static inline uint32_t itg_nm_position(itg_nm *d)
{
    if (d->bits == 1) {
        d->bits = *d->positions++ | 0x100u;
    }
    const uint32_t position = d->bits & 3;
    d->bits >>= 2;
    return position;
}

/* The next row: int8 [length] */
static inline void itg_nm_row(itg_nm *d, int8_t *row, int32_t length)
{
    for (int32_t i = 0; i < length; i++) {
        row[i] = 0;
    }
    for (int32_t i = 0; i < length; i += 4) {
        for (int32_t k = 0; k < d->n; k++) {
            row[i + (int32_t)itg_nm_position(d)] = *d->values++;
        }
    }
}

#endif
