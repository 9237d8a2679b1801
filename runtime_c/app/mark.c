/* The marks around a measured inference. In a file of their own, so that no compiler merges or removes them. */
#include "itg_port.h"

ITG_KEEP void itg_mark_begin(void)
{
}

ITG_KEEP void itg_mark_end(void)
{
}
