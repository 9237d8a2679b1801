/* Reads bits from an array of halfwords, from the highest bit of each down. */
#ifndef ITG_BITS_H
#define ITG_BITS_H

#include <stdint.h>

typedef struct {
    const uint16_t *next;
    uint32_t bits; /* what was read and not taken yet, in the highest bits; zeros follow */
    int32_t left;  /* how many bits that is */
} itg_bits;

/* After this at least 16 bits are there. Reads one halfword or none, so never further than 16 bits ahead. */
static inline void itg_bits_fill(itg_bits *in)
{
    if (in->left < 16) {
        in->bits |= (uint32_t)*in->next++ << (16 - in->left);
        in->left += 16;
    }
}

/* The next 16 bits, of which none is taken */
static inline uint32_t itg_bits_window(const itg_bits *in)
{
    return in->bits >> 16;
}

static inline void itg_bits_skip(itg_bits *in, int32_t count)
{
    in->bits <<= count;
    in->left -= count;
}

/* `count` bits, 0 to 16, of those that are there */
static inline uint32_t itg_bits_take(itg_bits *in, int32_t count)
{
    const uint32_t found = itg_bits_window(in) >> (16 - count);
    itg_bits_skip(in, count);
    return found;
}

#endif
