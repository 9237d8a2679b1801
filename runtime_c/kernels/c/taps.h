/* Which taps of a kernel fall inside the input: those in the padding equal the zero point, add nothing and are left out. */
#ifndef ITG_TAPS_H
#define ITG_TAPS_H

#include <stdint.h>

/* Taps first..end-1 lie inside when tap 0 lies at `origin` (negative in the padding), along an axis of `size`. */
typedef struct {
    int32_t first, end;
} itg_taps;

static inline itg_taps itg_taps_inside(int32_t origin, int32_t kernel, int32_t dilation, int32_t size)
{
    itg_taps t;
    t.first = origin >= 0 ? 0 : (dilation - 1 - origin) / dilation;
    t.end = origin >= size ? 0 : (size - 1 - origin) / dilation + 1;
    if (t.end > kernel) {
        t.end = kernel;
    }
    return t;
}

#endif
