/* The program around a model: it answers each request with one inference and what that used.
 *
 * A request is a word of ITG_REQUEST_ flags and the model's inputs, a reply is an itg_record and the outputs; all of
 * it raw little-endian elements, one buffer after the other. The program ends when no further request comes.
 * itg_record.h and itg_app.h are generated beside this build: the first is the record as Python reads it
 * (firmware/record.py), the second the model's header, one buffer an input and output, ITG_APP_RUN() (firmware/glue.py).
 */
#include "itg_port.h"
#include "itg_record.h"

typedef struct {
    void *data;
    uint32_t bytes;
} itg_app_buffer;

#include "itg_app.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "requests and replies are little-endian"
#endif

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

ITG_WEAK void itg_board_init(void)
{
}

static ITG_NORETURN void fail(const char *why)
{
    itg_port_print(why);
    itg_port_exit(2);
}

static void read_inputs(const itg_link *link)
{
    for (uint32_t i = 0; i < COUNT(itg_app_inputs); i++) {
        if (itg_link_read(link, itg_app_inputs[i].data, itg_app_inputs[i].bytes) != itg_app_inputs[i].bytes) {
            fail("itg: a request ends too early\n");
        }
    }
}

static void write_all(const itg_link *link, const void *from, uint32_t bytes)
{
    if (itg_link_write(link, from, bytes) != bytes) {
        fail("itg: a reply cannot be written\n");
    }
}

static void run_once(void)
{
    ITG_APP_RUN();
}

/* Runs the model over painted memory: a byte that it writes differs from at least one of two patterns. */
static void measure(uint8_t pattern, itg_record *record)
{
#ifdef ITG_APP_ARENA
    for (uint32_t i = 0; i < sizeof(ITG_APP_ARENA); i++) {
        ITG_APP_ARENA[i] = pattern;
    }
#endif
    ITG_APP_RESET();
    const uint32_t stack = itg_port_stack_used(run_once, pattern);
    if (stack > record->stack_bytes) {
        record->stack_bytes = stack;
    }
#ifdef ITG_APP_ARENA
    uint32_t top = sizeof(ITG_APP_ARENA);
    while (top > record->arena_bytes && ITG_APP_ARENA[top - 1] == pattern) {
        top--;
    }
    record->arena_bytes = top;
#endif
}

int main(void)
{
    itg_record record = {ITG_RECORD_VERSION, 0, 0, 0, 0};
    itg_link link;
    uint32_t request;

    itg_board_init();
    itg_link_open(&link);
    while (itg_link_read(&link, &request, sizeof request) == sizeof request) {
        read_inputs(&link);
        if ((request & ITG_REQUEST_PAINT) != 0) {
            measure(0xA5, &record);
            measure(0x5A, &record);
        }
        if ((request & ITG_REQUEST_RESET) != 0) {
            ITG_APP_RESET();
        }
        const uint64_t start = itg_port_clock_ns();
        itg_mark_begin();
        ITG_APP_RUN();
        itg_mark_end();
        const uint64_t taken = itg_port_clock_ns() - start;
        record.nanoseconds_low = (uint32_t)taken;
        record.nanoseconds_high = (uint32_t)(taken >> 32);
        write_all(&link, &record, sizeof record);
        for (uint32_t i = 0; i < COUNT(itg_app_outputs); i++) {
            write_all(&link, itg_app_outputs[i].data, itg_app_outputs[i].bytes);
        }
    }
    itg_port_exit(0);
}
