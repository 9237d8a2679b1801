/* What surrounds app.c: the transport that carries requests and replies, the machine it measures, the board.
 *
 * A transport is one file of runtime_c/transport, chosen by the board's runner. The machine is port/cortex_m.c on bare
 * metal and port/posix.c under Linux. A board may have a board.c beside its board.toml; it includes this header.
 */
#ifndef ITG_PORT_H
#define ITG_PORT_H

#include <stdint.h>

#define ITG_PORT_UNKNOWN UINT32_MAX /* "cannot be measured here" */

#if defined(__GNUC__)
#define ITG_NORETURN __attribute__((noreturn))
#define ITG_KEEP __attribute__((noinline, used))
#define ITG_WEAK __attribute__((weak))
#else
#define ITG_NORETURN
#define ITG_KEEP
#define ITG_WEAK
#endif

/* Empty functions around each measured inference: any outside counter can watch their addresses. */
void itg_mark_begin(void);
void itg_mark_end(void);

/* ---- the board ---- */

/* Called first in main(): clocks, caches, the UART of the transport. The default does nothing; a board.c replaces it. */
void itg_board_init(void);

/* ---- the transport: bytes in order, both ways, of whatever size; a console; an end ---- */

/* Whatever the transport keeps: main() has it on its stack, so that no variable of ours is in the image. */
typedef struct {
    int32_t requests;
    int32_t replies;
} itg_link;

/* Called once, before the first read. */
void itg_link_open(itg_link *link);
/* Waits for `bytes` bytes; returns how many came, fewer only when no more will come. */
uint32_t itg_link_read(const itg_link *link, void *to, uint32_t bytes);
/* Returns how many bytes were written, fewer only when no more can be. */
uint32_t itg_link_write(const itg_link *link, const void *from, uint32_t bytes);
void itg_port_print(const char *text);
ITG_NORETURN void itg_port_exit(int code);

/* ---- the machine ---- */

/* Paints the free stack with `pattern`, calls `body` and returns the bytes of stack that it and everything it calls
 * wrote to, from the call on; ITG_PORT_UNKNOWN where that is impossible. */
uint32_t itg_port_stack_used(void (*body)(void), uint8_t pattern);

/* A monotonic clock in nanoseconds; 0 where there is none that means anything (emulators). */
uint64_t itg_port_clock_ns(void);

#endif
