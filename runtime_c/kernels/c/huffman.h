/* Decodes the weights of a layer from canonical Huffman codes (codecs/huffman.py writes them and says what
 * lies in the tables). Rows come one after another from the first on:
 *
 *     itg_huffman d;
 *     itg_huffman_begin(&d, tables, stream);
 *     for each row {
 *         int32_t i;
 *         for (i = d.gap; i < row_length; i += 1 + itg_huffman_gap(&d)) {
 *             weight i of the row is itg_huffman_value(&d), those between are 0
 *         }
 *         d.gap = i - row_length;
 *     }
 *
 * or, into a dense row, itg_huffman_row. A decoder that has done all rows has read exactly the stream. */
#ifndef ITG_HUFFMAN_H
#define ITG_HUFFMAN_H

#include <stdint.h>

#include "bits.h"

enum { ITG_HUFFMAN_MAX = 12 }; /* bits of a code */

typedef struct {
    const uint8_t *symbols;              /* in the order of their codes */
    int32_t shortest;                    /* bits of the shortest code; what follows begins there */
    uint16_t last[ITG_HUFFMAN_MAX + 1];  /* [length]: the highest window that begins with a code so long, or shorter */
    uint8_t before[ITG_HUFFMAN_MAX + 1]; /* [length]: a code minus this is the number of its symbol, modulo 256 */
} itg_huffman_code;

typedef struct {
    itg_bits in;
    int32_t gap; /* zeros before the next nonzero, counted from the beginning of the row */
    int32_t low_bits;
    uint32_t filler;
    itg_huffman_code codes[2]; /* of gaps, of values */
} itg_huffman;

/* Returns where the code's table ends. */
static inline const uint8_t *itg_huffman_code_begin(itg_huffman_code *code, const uint8_t *table)
{
    const int32_t shortest = *table >> 4;
    const int32_t lengths = *table & 15;
    uint32_t next = 0;
    uint32_t symbol = 0;
    table++;
    code->shortest = shortest;
    code->symbols = table + lengths;
    for (int32_t length = shortest; length < shortest + lengths; length++) {
        const uint32_t count = *table++;
        code->before[length] = (uint8_t)(next - symbol);
        next += count;
        symbol += count;
        code->last[length] = (uint16_t)((next << (16 - length)) - 1);
        next <<= 1;
    }
    return code->symbols + symbol;
}

/* The number of the next symbol; itg_bits_fill was called. */
static inline uint32_t itg_huffman_number(itg_bits *in, const itg_huffman_code *code)
{
    const uint32_t window = itg_bits_window(in);
    int32_t length = code->shortest;
    while (window > code->last[length]) {
        length++;
    }
    itg_bits_skip(in, length);
    return (uint8_t)((window >> (16 - length)) - code->before[length]);
}

/* Zeros before the next nonzero */
static inline int32_t itg_huffman_gap(itg_huffman *d)
{
    uint32_t zeros = 0;
    for (;;) {
        itg_bits_fill(&d->in);
        const uint32_t symbol = d->codes[0].symbols[itg_huffman_number(&d->in, &d->codes[0])];
        zeros += symbol << d->low_bits;
        if (symbol != d->filler) {
            break;
        }
    }
    return (int32_t)(zeros + itg_bits_take(&d->in, d->low_bits));
}

/* The weight after that gap. It may be 0: where few weights are, none is skipped. */
static inline int32_t itg_huffman_value(itg_huffman *d)
{
    itg_bits_fill(&d->in);
    return ((const int8_t *)d->codes[1].symbols)[itg_huffman_number(&d->in, &d->codes[1])];
}

static inline void itg_huffman_begin(itg_huffman *d, const uint8_t *tables, const uint16_t *stream)
{
    d->in.next = stream;
    d->in.bits = 0;
    d->in.left = 0;
    d->low_bits = tables[0];
    d->filler = tables[1];
    tables += 2;
    for (int32_t i = 0; i < 2; i++) {
        tables = itg_huffman_code_begin(&d->codes[i], tables);
    }
    d->gap = itg_huffman_gap(d);
}

/* The next row: int8 [length], zeros included */
static inline void itg_huffman_row(itg_huffman *d, int8_t *row, int32_t length)
{
    int32_t at = 0;
    int32_t next = d->gap;
    for (; next < length; next += 1 + itg_huffman_gap(d)) {
        while (at < next) {
            row[at++] = 0;
        }
        row[at++] = (int8_t)itg_huffman_value(d);
    }
    while (at < length) {
        row[at++] = 0;
    }
    d->gap = next - length;
}

#endif
