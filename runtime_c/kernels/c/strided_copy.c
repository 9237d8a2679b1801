#include "strided_copy.h"

#include <string.h>

/* The innermost loop: `count` runs. Single bytes, the usual case of an int8 transposition, skip the call of memcpy. */
static void copy_row(const uint8_t *in, uint8_t *out, int32_t run, int32_t count, int32_t in_step, int32_t out_step)
{
    if (run == 1) {
        for (int32_t i = 0; i < count; i++) {
            out[i * out_step] = in[i * in_step];
        }
        return;
    }
    for (int32_t i = 0; i < count; i++) {
        memcpy(out + i * out_step, in + i * in_step, (size_t)run);
    }
}

void itg_strided_copy(const void *in, void *out, const itg_strided_copy_params *p)
{
    const uint8_t *from = (const uint8_t *)in;
    uint8_t *to = (uint8_t *)out;
    const int32_t inner = p->rank - 1;
    int32_t index[ITG_STRIDED_COPY_RANK] = {0};
    int32_t read = p->in_offset;
    int32_t write = p->out_offset;
    int32_t rows = 1;
    for (int32_t d = 0; d < inner; d++) {
        rows *= p->size[d];
    }
    while (rows-- > 0) {
        copy_row(from + read, to + write, p->run, p->size[inner], p->in_step[inner], p->out_step[inner]);
        /* Count up like an odometer: a loop that is through goes back to its start and moves the one around it. */
        for (int32_t d = inner - 1; d >= 0; d--) {
            read += p->in_step[d];
            write += p->out_step[d];
            if (++index[d] < p->size[d]) {
                break;
            }
            index[d] = 0;
            read -= p->size[d] * p->in_step[d];
            write -= p->size[d] * p->out_step[d];
        }
    }
}
