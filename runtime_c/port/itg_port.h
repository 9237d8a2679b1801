/* What app.c needs from the machine it runs on: files, a console, a stack that can be painted, an exit.
 *
 * semihost.c implements it for bare-metal Cortex-M (in an emulator or under a debugger), posix.c for Linux.
 */
#ifndef ITG_PORT_H
#define ITG_PORT_H

#include <stdint.h>

#define ITG_PORT_UNKNOWN UINT32_MAX /* "cannot be measured here" */

#if defined(__GNUC__)
#define ITG_NORETURN __attribute__((noreturn))
#define ITG_KEEP __attribute__((noinline, used))
#else
#define ITG_NORETURN
#define ITG_KEEP
#endif

/* Empty functions around each measured inference: any outside counter can watch their addresses. */
void itg_mark_begin(void);
void itg_mark_end(void);

/* Opens a file of the current folder, for reading or (`write` != 0) anew for writing: a handle, or -1. */
int32_t itg_port_open(const char *name, int write);
/* Reads up to `bytes`; returns how many were read, fewer only at the end of the file. */
uint32_t itg_port_read(int32_t file, void *to, uint32_t bytes);
/* Returns 0 when all `bytes` were written. */
int itg_port_write(int32_t file, const void *from, uint32_t bytes);
void itg_port_close(int32_t file);

void itg_port_print(const char *text);
ITG_NORETURN void itg_port_exit(int code);

/* Paints the free stack with `pattern`, calls `body` and returns the bytes of stack that it and everything it calls
 * wrote to, from the call on; ITG_PORT_UNKNOWN where that is impossible. */
uint32_t itg_port_stack_used(void (*body)(void), uint8_t pattern);

/* A monotonic clock in nanoseconds; 0 where there is none that means anything (emulators). */
uint64_t itg_port_clock_ns(void);

#endif
