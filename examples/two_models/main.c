/* Two models in one program, one arena: `quick` looks at every picture, `fine` at those of which `quick` is not sure.
 *
 * pictures.bin holds float32 pixels; each line printed is a digit, and who said so. */
#include <stdint.h>
#include <stdio.h>

#include "fine.h"
#include "quick.h"

#define CLASSES QUICK_OUTPUT_SIZE
#define SURE 20 /* steps of `quick`'s outputs between the best class and the next */

/* Where both models work, one after the other: config.h names it. */
union shared {
    union quick_arena quick;
    union fine_arena fine;
};
union shared shared;

static float pixels[QUICK_INPUT_SIZE];
static int8_t quick_in[QUICK_INPUT_SIZE], quick_out[CLASSES];
static int16_t fine_in[FINE_INPUT_SIZE], fine_out[CLASSES];

static int32_t quantized(float real, float scale, int32_t zero_point, int32_t most)
{
    const int32_t q = (int32_t)(real / scale + 0.5f) + zero_point; /* no pixel is negative */
    return q < most ? q : most;
}

static int best_but(int without, const int16_t *scores)
{
    int best = without == 0 ? 1 : 0;
    for (int i = 0; i < CLASSES; i++) {
        if (i != without && scores[i] > scores[best]) {
            best = i;
        }
    }
    return best;
}

static int ask_quick(int *sure)
{
    int16_t scores[CLASSES];
    for (int i = 0; i < QUICK_INPUT_SIZE; i++) {
        quick_in[i] = (int8_t)quantized(pixels[i], QUICK_INPUT_SCALE, QUICK_INPUT_ZERO_POINT, INT8_MAX);
    }
    quick_run(quick_in, quick_out);
    for (int i = 0; i < CLASSES; i++) {
        scores[i] = quick_out[i];
    }
    const int best = best_but(-1, scores);
    *sure = scores[best] - scores[best_but(best, scores)] >= SURE;
    return best;
}

static int ask_fine(void)
{
    for (int i = 0; i < FINE_INPUT_SIZE; i++) {
        fine_in[i] = (int16_t)quantized(pixels[i], FINE_INPUT_SCALE, FINE_INPUT_ZERO_POINT, INT16_MAX);
    }
    fine_run(fine_in, fine_out);
    return best_but(-1, fine_out);
}

int main(void)
{
    FILE *const file = fopen("pictures.bin", "rb");
    if (file == NULL) {
        printf("pictures.bin is missing\n");
        return 1;
    }
    while (fread(pixels, sizeof pixels, 1, file) == 1) {
        int sure = 0;
        const int quick = ask_quick(&sure);
        if (sure) {
            printf("%d quick\n", quick);
        } else {
            printf("%d fine\n", ask_fine());
        }
    }
    fclose(file);
    return 0;
}
