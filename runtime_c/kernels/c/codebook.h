/* Weights as indices into tables of the values that there are (lower/encodings/codebook.py writes them and says what
 * lies where). Rows come one after another from the first on. */
#ifndef ITG_CODEBOOK_H
#define ITG_CODEBOOK_H

#include <stdint.h>

#include "bits.h"

typedef struct {
    itg_bits in;
    int32_t bits; /* of an index, 1 to 8 */
    int32_t run; /* indices that 16 bits hold */
    int32_t entries; /* of a table */
    int32_t rows; /* that share a table */
    int32_t left; /* of those, how many are still to come */
    const int8_t *values; /* the table */
} itg_codebook;

static inline void itg_codebook_begin(itg_codebook *d, const uint8_t *tables, const uint16_t *stream)
{
    d->in.next = stream;
    d->in.bits = 0;
    d->in.left = 0;
    d->bits = tables[0];
    d->run = tables[1];
    d->entries = tables[2];
    d->rows = tables[3] | tables[4] << 8;
    d->left = d->rows;
    d->values = (const int8_t *)tables + 5;
}

/* To be called once after each row: the next may have another table. */
static inline void itg_codebook_end_row(itg_codebook *d)
{
    if (--d->left == 0) {
        d->left = d->rows;
        d->values += d->entries;
    }
}

/* The next row: int8 [length] */
static inline void itg_codebook_row(itg_codebook *d, int8_t *row, int32_t length)
{
    const int8_t *const values = d->values;
    const int32_t bits = d->bits;
    itg_bits in = d->in;
    while (length > 0) {
        const int32_t run = length < d->run ? length : d->run;
        itg_bits_fill(&in);
        in.left -= run * bits;
        for (const int8_t *const end = row + run; row != end; row++) {
            *row = values[in.bits >> (32 - bits)];
            in.bits <<= bits;
        }
        length -= run;
    }
    d->in = in;
    itg_codebook_end_row(d);
}

#endif
