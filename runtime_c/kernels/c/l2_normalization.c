#include "l2_normalization.h"

#include "inverse_sqrt.h"

void itg_l2_normalization_s8(const int8_t *in, int8_t *out, const itg_l2_normalization_s8_params *p)
{
    for (int32_t row = 0; row < p->rows; row++) {
        int32_t sum = 0;
        for (int32_t i = 0; i < p->row_size; i++) {
            const int32_t x = in[i] + p->in_offset;
            sum += x * x;
        }
        int32_t shift;
        const int32_t multiplier = itg_inverse_sqrt(sum, &shift);
        for (int32_t i = 0; i < p->row_size; i++) {
            const int32_t y = itg_requantize(in[i] + p->in_offset, multiplier, shift + ITG_L2_NORMALIZATION_OUTPUT_BITS);
            out[i] = (int8_t)itg_clamp(y, INT8_MIN, INT8_MAX);
        }
        in += p->row_size;
        out += p->row_size;
    }
}
