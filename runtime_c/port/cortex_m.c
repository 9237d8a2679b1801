/* Vector table, reset, fault handler and painted stack of every Cortex-M: what the core has is known from the
 * compiler's macros. */
#include "itg_port.h"

extern uint8_t itg_stack_limit[], itg_stack_top[]; /* from the linker script, as all of these */
extern uint32_t itg_data_start[], itg_data_end[], itg_bss_start[], itg_bss_end[];
extern const uint32_t itg_data_image[];

int main(void);
void itg_reset(void);
void itg_fault(void);
ITG_NORETURN void itg_report_fault(const uint32_t *frame);

typedef union {
    void (*handler)(void);
    uint8_t *stack;
} itg_vector;

__attribute__((used, section(".vectors"))) static const itg_vector vectors[16] = {
    {.stack = itg_stack_top}, /* initial stack pointer */
    {.handler = itg_reset},   /* reset */
    {.handler = itg_fault},   /* NMI */
    {.handler = itg_fault},   /* HardFault */
    {.handler = itg_fault},   /* MemManage */
    {.handler = itg_fault},   /* BusFault */
    {.handler = itg_fault},   /* UsageFault */
    {.handler = itg_fault},   /* SecureFault */
    {0},
    {0},
    {0},
    {.handler = itg_fault}, /* SVCall */
    {.handler = itg_fault}, /* DebugMonitor */
    {0},
    {.handler = itg_fault}, /* PendSV */
    {.handler = itg_fault}, /* SysTick */
};

/* The unwinder of libgcc is for C++ exceptions; naming its entry here keeps 3 KB of it out of the image. */
void __aeabi_unwind_cpp_pr0(void);
void __aeabi_unwind_cpp_pr0(void)
{
}

static void enable_core_features(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20; /* CPACR: CP10 and CP11, the FPU and Helium */
#endif
#if defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED14u |= 3u << 18; /* CCR: branch prediction and low-overhead loops */
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
}

void itg_reset(void)
{
#if __ARM_ARCH >= 8 && __ARM_ARCH_ISA_THUMB == 2
    __asm__ volatile("msr msplim, %0" ::"r"(itg_stack_limit)); /* Armv8-M faults on a stack overflow by itself */
#endif
    enable_core_features();
    const uint32_t *from = itg_data_image;
    for (uint32_t *to = itg_data_start; to < itg_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = itg_bss_start; to < itg_bss_end; to++) {
        *to = 0;
    }
    itg_port_exit(main());
}

/* The frame that the core stacked is at the stack pointer; after a stack overflow only a fresh stack is of use. */
__attribute__((naked)) void itg_fault(void)
{
    __asm__ volatile("mov r0, sp\n\t"
                     "ldr r1, =itg_stack_top\n\t"
                     "mov sp, r1\n\t"
                     "bl itg_report_fault\n\t"
                     ".ltorg");
}

static void print_hex(const char *label, uint32_t value)
{
    char text[] = "00000000";
    for (int i = 7; i >= 0; i--) {
        const uint32_t digit = value & 15u;
        text[i] = (char)(digit < 10u ? '0' + (char)digit : 'a' + (char)(digit - 10u));
        value >>= 4;
    }
    itg_port_print(label);
    itg_port_print(text);
}

static int overflowed(const uint32_t *frame)
{
#if __ARM_ARCH >= 8 && __ARM_ARCH_ISA_THUMB == 2
    const uint32_t stkof = 1u << 20; /* UFSR.STKOF in CFSR */
    if ((*(volatile uint32_t *)0xE000ED28u & stkof) != 0) {
        return 1;
    }
#endif
    return (const uint8_t *)frame < itg_stack_limit;
}

void itg_report_fault(const uint32_t *frame)
{
    itg_port_print("itg: hard fault");
    if (overflowed(frame)) {
        itg_port_print(" (stack overflow)");
    } else if ((const uint8_t *)(frame + 8) <= itg_stack_top) {
        print_hex(", pc ", frame[6]);
        print_hex(", lr ", frame[5]);
    }
#if __ARM_ARCH >= 7
    print_hex(", CFSR ", *(volatile uint32_t *)0xE000ED28u);
#endif
    itg_port_print("\n");
    itg_port_exit(70);
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
