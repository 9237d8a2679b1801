#include "copy.h"

#include <string.h>

void itg_copy(const void *in, void *out, int32_t bytes)
{
    memcpy(out, in, (size_t)bytes);
}
