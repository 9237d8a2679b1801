/* Decodes the weights of a layer from tANS codes (codecs/tans.py writes them and says what lies in the tables
 * and how decoding goes). It is used like huffman.h, but for itg_tans_begin, which builds its tables in scratch memory. */
#ifndef ITG_TANS_H
#define ITG_TANS_H

#include <stddef.h>
#include <stdint.h>

#include "bits.h"

typedef struct {
    uint16_t base; /* the next state is this plus the next bits */
    uint8_t bits;
    uint8_t symbol;
} itg_tans_entry;

typedef struct {
    itg_bits in;
    int32_t gap; /* zeros before the next nonzero, counted from the beginning of the row */
    int32_t low_bits;
    uint32_t filler;
    uint32_t state;
    const itg_tans_entry *gaps;
    const itg_tans_entry *values;
} itg_tans;

/* Fills table [size] for symbols 0 .. count - 1, or those of `symbols`, that occur as frequencies [count] say. */
static inline void itg_tans_table(itg_tans_entry *table, uint32_t size, const uint8_t *frequencies, uint32_t count,
                                  const uint8_t *symbols)
{
    const uint32_t step = size * 5 / 8 | 1;
    const uint32_t states = count > 0 ? size : 0;
    uint32_t at = 0;
    /* The states of each symbol; its states are counted in the base of the entry with its number */
    for (uint32_t symbol = 0; symbol < count; symbol++) {
        table[symbol].base = 0;
        for (uint32_t left = count == 1 ? size : frequencies[symbol]; left > 0; left--) {
            table[at].symbol = (uint8_t)symbol;
            at = (at + step) & (size - 1);
        }
    }
    /* which state of its symbol it is */
    for (uint32_t i = 0; i < states; i++) {
        table[i].bits = (uint8_t)table[table[i].symbol].base++;
    }
    for (uint32_t i = 0; i < states; i++) {
        const uint32_t symbol = table[i].symbol;
        uint32_t full = (count == 1 ? size : frequencies[symbol]) + table[i].bits;
        uint8_t bits = 0;
        while (full < size) {
            full <<= 1;
            bits++;
        }
        table[i].base = (uint16_t)(full - size);
        table[i].bits = bits;
        if (symbols != NULL) {
            table[i].symbol = symbols[symbol];
        }
    }
}

static inline uint32_t itg_tans_symbol(itg_tans *d, const itg_tans_entry *table)
{
    const itg_tans_entry *entry = table + d->state;
    itg_bits_fill(&d->in);
    d->state = entry->base + itg_bits_take(&d->in, entry->bits);
    return entry->symbol;
}

/* Zeros before the next nonzero */
static inline int32_t itg_tans_gap(itg_tans *d)
{
    uint32_t zeros = 0;
    for (;;) {
        const uint32_t symbol = itg_tans_symbol(d, d->gaps);
        zeros += symbol << d->low_bits;
        if (symbol != d->filler) {
            break;
        }
    }
    return (int32_t)(zeros + itg_bits_take(&d->in, d->low_bits));
}

/* The weight after that gap. It may be 0: where few weights are, none is skipped. */
static inline int32_t itg_tans_value(itg_tans *d)
{
    /* two's complement */
    return (int32_t)(itg_tans_symbol(d, d->values) ^ 0x80u) - 0x80;
}

/* scratch [2 << log], log being the upper half of the first byte of the tables */
static inline void itg_tans_begin(itg_tans *d, const uint8_t *tables, const uint16_t *stream, itg_tans_entry *scratch)
{
    const int32_t log = tables[0] >> 4;
    const uint32_t size = (uint32_t)1 << log;
    const uint32_t gaps = tables[2];
    const uint8_t *rest = tables + 3 + gaps;
    const uint32_t values = rest[0];
    itg_tans_table(scratch, size, tables + 3, gaps, NULL);
    itg_tans_table(scratch + size, size, rest + 1, values, rest + 1 + values);
    d->gaps = scratch;
    d->values = scratch + size;
    d->low_bits = tables[0] & 15;
    d->filler = tables[1];
    d->in.next = stream;
    d->in.bits = 0;
    d->in.left = 0;
    itg_bits_fill(&d->in);
    d->state = itg_bits_take(&d->in, log);
    d->gap = itg_tans_gap(d);
}

/* The next row: int8 [length], zeros included */
static inline void itg_tans_row(itg_tans *d, int8_t *row, int32_t length)
{
    int32_t at = 0;
    int32_t next = d->gap;
    for (; next < length; next += 1 + itg_tans_gap(d)) {
        while (at < next) {
            row[at++] = 0;
        }
        row[at++] = (int8_t)itg_tans_value(d);
    }
    while (at < length) {
        row[at++] = 0;
    }
    d->gap = next - length;
}

#endif
