#include "fill.h"

#include <string.h>

void itg_fill(void *out, int32_t count, int32_t element_bytes, int32_t value)
{
    if (element_bytes == 1) {
        memset(out, (int)(value & 0xFF), (size_t)count);
    } else if (element_bytes == 2) {
        int16_t *to = (int16_t *)out;
        for (int32_t i = 0; i < count; i++) {
            to[i] = (int16_t)value;
        }
    } else {
        /* As bytes: the elements may be floats. */
        uint8_t *to = (uint8_t *)out;
        for (int32_t i = 0; i < count; i++) {
            memcpy(to + 4 * i, &value, 4);
        }
    }
}
