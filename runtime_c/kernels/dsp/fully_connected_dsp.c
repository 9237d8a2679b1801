/* FULLY_CONNECTED, int8, for cores with DSP instructions: two products an instruction, four channels at a time.
 *
 * Weights lie as pairs of channels, so that none has to be widened on its own: with the word 256 * A + B, SMLAD adds
 * 256 * a + b, a and b being what channels A and B sum up to; SXTB16 leaves B of it, and SMLAD adds b alone. The sums are
 * modulo 2^32; a is exact as long as it fits 24 bits, which is known from the weights when the model is compiled. */
#include "fully_connected_dsp.h"

#include "dsp.h"
#include "fixed.h"

#define CHANNELS ITG_FULLY_CONNECTED_DSP_CHANNELS

/* Sums of a pair of channels, A and B: both grows by 256 * a + b, low by b. */
#define ADD(both, low, x, word)                          \
    do {                                                 \
        const uint32_t pair = (word);                    \
        both = itg_smlad(pair, (x), both);               \
        low = itg_smlad(itg_sxtb16(pair), (x), low);     \
    } while (0)

/* Four inputs, for two pairs of channels. */
#define ADD_FOUR(four)                                   \
    do {                                                 \
        const uint32_t even = itg_sxtb16(four);          \
        const uint32_t odd = itg_sxtb16_ror8(four);      \
        ADD(both0, low0, even, pairs[0]);                \
        ADD(both1, low1, even, pairs[1]);                \
        ADD(both0, low0, odd, pairs[2]);                 \
        ADD(both1, low1, odd, pairs[3]);                 \
    } while (0)

/* The sums of four channels over in_c inputs. */
static void sum_four(const int8_t *in, const uint32_t *pairs, int32_t in_c, int32_t sums[CHANNELS])
{
    uint32_t both0 = 0, both1 = 0, low0 = 0, low1 = 0;
    const int8_t *const whole = in + (in_c & ~3);
    while (in != whole) {
        const uint32_t four = itg_load32(in);
        ADD_FOUR(four);
        in += 4;
        pairs += CHANNELS;
    }
    if ((in_c & 3) != 0) {
        uint32_t four = 0;
        memcpy(&four, in, (size_t)(in_c & 3));
        ADD_FOUR(four);
    }
    sums[0] = (int32_t)(both0 - low0) >> 8;
    sums[1] = (int32_t)low0;
    sums[2] = (int32_t)(both1 - low1) >> 8;
    sums[3] = (int32_t)low1;
}

void itg_fully_connected_dsp(const int8_t *in, const uint32_t *pairs, const int32_t *sums, const int32_t *multiplier,
                             const int8_t *shift, int8_t *out, const itg_fully_connected_dsp_params *p)
{
    const int32_t words = (p->in_c + 3) / 4 * CHANNELS; /* of four channels */
    for (int32_t r = 0; r < p->rows; r++) {
        const uint32_t *group = pairs;
        for (int32_t first = 0; first < p->out_c; first += CHANNELS) {
            const int32_t channels = p->out_c - first < CHANNELS ? p->out_c - first : CHANNELS;
            int32_t sum[CHANNELS];
            sum_four(in, group, p->in_c, sum);
            for (int32_t k = 0; k < channels; k++) {
                const int32_t m = (first + k) * p->multiplier_step;
                /* Both sums fit 32 bits: the compiler of the model refuses weights that could leave them. */
                const int32_t acc = (int32_t)((uint32_t)sum[k] + (uint32_t)sums[first + k]);
                const int32_t scaled = itg_requantize(acc, multiplier[m], shift[m]);
                const int32_t y = (int32_t)((uint32_t)scaled + (uint32_t)p->out_offset);
                *out++ = (int8_t)itg_clamp(y, p->out_min, p->out_max);
            }
            group += words;
        }
        in += p->in_c;
    }
}
