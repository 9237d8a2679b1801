/* The port of a bare-metal Cortex-M: files, console and exit by Arm semihosting, straight through BKPT 0xAB.
 *
 * Semihosting for AArch32 and AArch64, Release 2.0 (Arm, github.com/ARM-software/abi-aa). Going without newlib's
 * rdimon keeps the heap and stdio out of the firmware.
 */
#include "itg_port.h"

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_RB = 1, OPEN_WB = 5 };
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

extern uint8_t itg_stack_limit[]; /* the stack's lowest byte, from the linker script */

static int32_t semihost(int32_t operation, const void *block)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static uint32_t length(const char *text)
{
    uint32_t n = 0;
    while (text[n] != '\0') {
        n++;
    }
    return n;
}

int32_t itg_port_open(const char *name, int write)
{
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, write ? OPEN_WB : OPEN_RB, length(name)};
    return semihost(SYS_OPEN, block);
}

uint32_t itg_port_read(int32_t file, void *to, uint32_t bytes)
{
    /* SYS_READ may stop short before the end of the file; it returns the number of bytes NOT read. */
    uint32_t done = 0;
    while (done < bytes) {
        const uint32_t want = bytes - done;
        const uint32_t block[3] = {(uint32_t)file, (uint32_t)(uintptr_t)to + done, want};
        const uint32_t missing = (uint32_t)semihost(SYS_READ, block);
        if (missing >= want) {
            break;
        }
        done += want - missing;
    }
    return done;
}

int itg_port_write(int32_t file, const void *from, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)(uintptr_t)from, bytes};
    return semihost(SYS_WRITE, block) == 0 ? 0 : -1;
}

void itg_port_close(int32_t file)
{
    const uint32_t block[1] = {(uint32_t)file};
    (void)semihost(SYS_CLOSE, block);
}

void itg_port_print(const char *text)
{
    (void)semihost(SYS_WRITE0, text);
}

void itg_port_exit(int code)
{
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)code};
    for (;;) {
        (void)semihost(SYS_EXIT_EXTENDED, block);
    }
}

__attribute__((noinline)) uint32_t itg_port_stack_used(void (*body)(void), uint8_t pattern)
{
    /* Everything below this function's own frame is free, and nothing interrupts. `volatile` keeps the compiler from
     * turning the loop into a call of memset, whose frame would lie where it paints. */
    uint32_t sp;
    __asm__ volatile("mov %0, sp" : "=r"(sp));
    volatile uint8_t *const limit = itg_stack_limit;
    const uint32_t room = sp - (uint32_t)(uintptr_t)itg_stack_limit;
    for (uint32_t i = 0; i < room; i++) {
        limit[i] = pattern;
    }
    body();
    uint32_t untouched = 0;
    while (untouched < room && limit[untouched] == pattern) {
        untouched++;
    }
    if (untouched == 0) {
        /* Where nothing is below RAM that would fault (some emulated boards), this is how an overflow shows. */
        itg_port_print("itg: stack overflow\n");
        itg_port_exit(71);
    }
    return room - untouched;
}

uint64_t itg_port_clock_ns(void)
{
    return 0;
}
