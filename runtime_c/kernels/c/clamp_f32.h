#ifndef ITG_CLAMP_F32_H
#define ITG_CLAMP_F32_H

/* x, or the bound that it exceeds; not-a-number stays what it is. */
static inline float itg_clamp_f32(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

#endif
