/* What the models' C asks of this program (see itg.h): every compilation has -DITG_CONFIG='"config.h"'. */
#ifndef CONFIG_H
#define CONFIG_H

/* Neither model has an arena: both work in the object `shared` of main.c, in turn. */
#define QUICK_ARENA shared
#define FINE_ARENA shared

/* The constants of `fine` lie in a section of their own, e.g. for a second flash. */
#ifdef __arm__
#define FINE_WEIGHTS_SECTION ".weights"
#endif

#endif
