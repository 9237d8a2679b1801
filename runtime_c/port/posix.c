/* The machine of a Linux program: the host itself, a Raspberry Pi, or one in qemu-aarch64. */
#define _XOPEN_SOURCE 700

#include "itg_port.h"

#include <string.h>
#include <time.h>
#include <ucontext.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define ITG_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ITG_SANITIZED 1
#endif

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
