/* A Cortex-M4 from reset to newlib's _start: vector table and FPU. printf and fopen go to the host by semihosting. */
#include <stdint.h>

extern uint8_t stack_top[]; /* of cortex_m4.ld */
void _start(void);
void reset(void);

typedef union {
    uint8_t *stack;
    void (*handler)(void);
} vector;

__attribute__((used, section(".vectors"))) static const vector vectors[16] = {{.stack = stack_top}, {.handler = reset}};

void reset(void)
{
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: the FPU */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    _start();
}
