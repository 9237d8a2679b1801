/* Weights as a bitmap and the nonzeros (lower/encodings/sparse.py). Rows come one after another from the first on. */
#ifndef ITG_SPARSE_H
#define ITG_SPARSE_H

#include <stdint.h>

typedef struct {
    const uint8_t *bitmap; /* a bit a weight, the lowest of a byte first; each row begins a byte */
    const int8_t *values; /* the nonzeros, one after another */
} itg_sparse;

/* The next row: int8 [length] */
static inline void itg_sparse_row(itg_sparse *d, int8_t *row, int32_t length)
{
    for (int32_t at = 0; at < length; at += 8) {
        const int32_t end = at + 8 < length ? at + 8 : length;
        uint32_t mask = *d->bitmap++;
        for (int32_t i = at; i < end; i++, mask >>= 1) {
            row[i] = (mask & 1) != 0 ? *d->values++ : 0;
        }
    }
}

#endif
