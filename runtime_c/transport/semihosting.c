/* The transport of an emulator or a debugger: files, console and exit by Arm semihosting, straight through BKPT 0xAB.
 *
 * Semihosting for AArch32 and AArch64, Release 2.0 (Arm, github.com/ARM-software/abi-aa). Going without newlib's
 * rdimon keeps the heap and stdio out of the firmware. The two files are pipes of the runner (runners/process.py).
 */
#include "itg_port.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_RB = 1, OPEN_WB = 5 };
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

static int32_t semihost(int32_t operation, const void *block)
{
    register int32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int32_t open_or_exit(const char *name, uint32_t length, uint32_t mode)
{
    const uint32_t block[3] = {(uint32_t)(uintptr_t)name, mode, length};
    const int32_t file = semihost(SYS_OPEN, block);
    if (file < 0) {
        itg_port_print(name);
        itg_port_print(" cannot be opened\n");
        itg_port_exit(2);
    }
    return file;
}

void itg_link_open(itg_link *link)
{
    link->requests = open_or_exit("itg_requests", 12, OPEN_RB);
    link->replies = open_or_exit("itg_replies", 11, OPEN_WB);
}

/* SYS_READ and SYS_WRITE take the same block, may stop short, and return the number of bytes that are left. */
static uint32_t transfer(int32_t operation, int32_t file, const void *at, uint32_t bytes)
{
    uint32_t left = bytes;
    while (left > 0) {
        const uint32_t block[3] = {(uint32_t)file, (uint32_t)(uintptr_t)at + (bytes - left), left};
        const uint32_t still = (uint32_t)semihost(operation, block);
        if (still >= left) {
            break;
        }
        left = still;
    }
    return bytes - left;
}

uint32_t itg_link_read(const itg_link *link, void *to, uint32_t bytes)
{
    return transfer(SYS_READ, link->requests, to, bytes);
}

uint32_t itg_link_write(const itg_link *link, const void *from, uint32_t bytes)
{
    return transfer(SYS_WRITE, link->replies, from, bytes);
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
