/* The port of a Linux program: the host itself, a Raspberry Pi, or one in qemu-aarch64. */
#define _XOPEN_SOURCE 700

#include "itg_port.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define ITG_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ITG_SANITIZED 1
#endif

int32_t itg_port_open(const char *name, int write)
{
    return (int32_t)(write ? open(name, O_WRONLY | O_CREAT | O_TRUNC, 0666) : open(name, O_RDONLY));
}

uint32_t itg_port_read(int32_t file, void *to, uint32_t bytes)
{
    uint32_t done = 0;
    while (done < bytes) {
        const ssize_t got = read(file, (char *)to + done, bytes - done);
        if (got <= 0) {
            break;
        }
        done += (uint32_t)got;
    }
    return done;
}

int itg_port_write(int32_t file, const void *from, uint32_t bytes)
{
    uint32_t done = 0;
    while (done < bytes) {
        const ssize_t put = write(file, (const char *)from + done, bytes - done);
        if (put <= 0) {
            return -1;
        }
        done += (uint32_t)put;
    }
    return 0;
}

void itg_port_close(int32_t file)
{
    (void)close(file);
}

void itg_port_print(const char *text)
{
    (void)itg_port_write(STDERR_FILENO, text, (uint32_t)strlen(text));
}

void itg_port_exit(int code)
{
    exit(code);
}

#if defined(ITG_SANITIZED)

/* Address sanitizers keep their own idea of the stack: run plainly. */
uint32_t itg_port_stack_used(void (*body)(void), uint8_t pattern)
{
    (void)pattern;
    body();
    return ITG_PORT_UNKNOWN;
}

#else

/* The real stack cannot be painted safely here, so the body runs on one of its own: a second context. */
enum { STACK_BYTES = 1 << 20 };
static uint8_t stack_memory[STACK_BYTES];
static ucontext_t caller_context, body_context;
static void (*body_to_run)(void);
static uintptr_t stack_pointer;

static void on_own_stack(void)
{
#if defined(__aarch64__)
    __asm__ volatile("mov %0, sp" : "=r"(stack_pointer));
#elif defined(__x86_64__)
    __asm__ volatile("mov %%rsp, %0" : "=r"(stack_pointer));
#else
    stack_pointer = (uintptr_t)__builtin_frame_address(0);
#endif
    body_to_run();
}

uint32_t itg_port_stack_used(void (*body)(void), uint8_t pattern)
{
    memset(stack_memory, pattern, sizeof stack_memory);
    if (getcontext(&body_context) != 0) {
        body();
        return ITG_PORT_UNKNOWN;
    }
    body_to_run = body;
    body_context.uc_stack.ss_sp = stack_memory;
    body_context.uc_stack.ss_size = sizeof stack_memory;
    body_context.uc_link = &caller_context;
    makecontext(&body_context, on_own_stack, 0);
    if (swapcontext(&caller_context, &body_context) != 0) {
        return ITG_PORT_UNKNOWN;
    }
    uint32_t untouched = 0;
    while (untouched < sizeof stack_memory && stack_memory[untouched] == pattern) {
        untouched++;
    }
    return (uint32_t)(stack_pointer - (uintptr_t)stack_memory) - untouched;
}

#endif

uint64_t itg_port_clock_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) {
        return 0;
    }
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
