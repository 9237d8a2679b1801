#include "lut.h"

void itg_lut_8(const void *in, const uint8_t *table, void *out, int32_t count)
{
    const uint8_t *from = (const uint8_t *)in;
    uint8_t *to = (uint8_t *)out;
    for (int32_t i = 0; i < count; i++) {
        to[i] = table[from[i]];
    }
}
