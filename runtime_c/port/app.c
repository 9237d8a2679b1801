/* The program around a model: inferences from itg_in.bin to itg_out.bin, what they used to itg_stat.bin.
 *
 * itg_app.h is generated beside this build: the model's header, one buffer an input and output, ITG_APP_RUN().
 * Files hold raw little-endian elements, all inputs (outputs) of an inference one after the other.
 * itg_stat.bin: uint32 arena bytes touched, uint32 stack bytes used, uint64 nanoseconds of the fastest inference
 * (0: no clock).
 */
#include "itg_port.h"

typedef struct {
    void *data;
    uint32_t bytes;
} itg_app_buffer;

#include "itg_app.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static ITG_NORETURN void fail(const char *why)
{
    itg_port_print("itg: ");
    itg_port_print(why);
    itg_port_print("\n");
    itg_port_exit(2);
}

static int32_t open_or_fail(const char *name, int write)
{
    const int32_t file = itg_port_open(name, write);
    if (file < 0) {
        itg_port_print(name);
        fail(" cannot be opened");
    }
    return file;
}

/* One inference's inputs; 0 at the end of the file. */
static int read_inputs(int32_t file)
{
    for (uint32_t i = 0; i < COUNT(itg_app_inputs); i++) {
        const uint32_t got = itg_port_read(file, itg_app_inputs[i].data, itg_app_inputs[i].bytes);
        if (got == 0 && i == 0) {
            return 0;
        }
        if (got != itg_app_inputs[i].bytes) {
            fail("itg_in.bin ends within an inference");
        }
    }
    return 1;
}

static void write_outputs(int32_t file)
{
    for (uint32_t i = 0; i < COUNT(itg_app_outputs); i++) {
        if (itg_port_write(file, itg_app_outputs[i].data, itg_app_outputs[i].bytes) != 0) {
            fail("itg_out.bin cannot be written");
        }
    }
}

static void run_once(void)
{
    ITG_APP_RUN();
}

/* Runs the model over painted memory: a byte that it writes differs from at least one of two patterns. */
static void measure(uint8_t pattern, uint32_t *arena_bytes, uint32_t *stack_bytes)
{
#ifdef ITG_APP_ARENA
    for (uint32_t i = 0; i < sizeof(ITG_APP_ARENA); i++) {
        ITG_APP_ARENA[i] = pattern;
    }
#endif
    ITG_APP_RESET();
    const uint32_t stack = itg_port_stack_used(run_once, pattern);
    if (stack > *stack_bytes) {
        *stack_bytes = stack;
    }
#ifdef ITG_APP_ARENA
    uint32_t top = sizeof(ITG_APP_ARENA);
    while (top > *arena_bytes && ITG_APP_ARENA[top - 1] == pattern) {
        top--;
    }
    *arena_bytes = top;
#else
    *arena_bytes = 0;
#endif
}

static void put_le32(uint8_t *to, uint32_t value)
{
    for (uint32_t i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (8 * i));
    }
}

int main(void)
{
    const int32_t in = open_or_fail("itg_in.bin", 0);
    const int32_t out = open_or_fail("itg_out.bin", 1);
    uint32_t arena_bytes = 0;
    uint32_t stack_bytes = 0;
    uint64_t fastest = 0;
    uint8_t stat[16];

    int more = read_inputs(in);
    measure(0xA5, &arena_bytes, &stack_bytes);
    measure(0x5A, &arena_bytes, &stack_bytes);
    ITG_APP_RESET();
    while (more) {
        const uint64_t start = itg_port_clock_ns();
        itg_mark_begin();
        ITG_APP_RUN();
        itg_mark_end();
        const uint64_t taken = itg_port_clock_ns() - start;
        if (fastest == 0 || taken < fastest) {
            fastest = taken;
        }
        write_outputs(out);
        more = read_inputs(in);
    }
    itg_port_close(out);
    put_le32(stat, arena_bytes);
    put_le32(stat + 4, stack_bytes);
    put_le32(stat + 8, (uint32_t)fastest);
    put_le32(stat + 12, (uint32_t)(fastest >> 32));
    const int32_t file = open_or_fail("itg_stat.bin", 1);
    if (itg_port_write(file, stat, sizeof stat) != 0) {
        fail("itg_stat.bin cannot be written");
    }
    itg_port_close(file);
    itg_port_exit(0);
}
