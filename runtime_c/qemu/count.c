/* A QEMU TCG plugin: guest instructions of each inference, and which of them belong to which layer.
 *
 * Arguments: begin=ADDR,end=ADDR  the first instructions of itg_mark_begin and itg_mark_end
 *            run_lo=ADDR,run_hi=ADDR  the address range of <model>_run
 *            out=FILE  where the figures go
 * Output, for each inference (from 1): a line "inference N INSTRUCTIONS"; for the first two also lines
 * "bucket N ADDR INSTRUCTIONS" whose sum over one N, with the ADDR "other", is that inference's total.
 *
 * Nothing is added to the firmware. An instruction of <model>_run is counted at its own address; one executed
 * elsewhere (kernels, libgcc) is counted at the last address executed within <model>_run, which is the call that led
 * there. Python maps addresses to source lines, and lines to layers.
 *
 * Every instruction of a translated block is counted when the block is entered. That is exact here: no exception
 * or interrupt cuts a block short within an inference, and a mark, entered by a call only, always starts a block.
 * Only functions that every plugin API since QEMU 5 has are used; no distribution packages qemu-plugin.h, so their
 * prototypes are declared. QEMU 9 raised the lowest accepted API version, hence ITG_PLUGIN_VERSION.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ITG_PLUGIN_VERSION
#define ITG_PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_udata_cb_t)(unsigned int vcpu, void *userdata);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_vcpu_udata_cb_t cb,
                                          enum qemu_plugin_cb_flags flags, void *userdata);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
EXPORT extern int qemu_plugin_version;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv);

int qemu_plugin_version = ITG_PLUGIN_VERSION;

/* A block of <model>_run: where its instructions are (halfwords from run_lo) and how often it ran. QEMU may translate
 * a block again while an old translation is still in use, so blocks are never freed. */
typedef struct block {
    struct block *next;
    uint64_t entries;
    size_t n;
    size_t at[];
} block;

static uint64_t begin_address, end_address, run_lo, run_hi;
static FILE *out;
static block *blocks;
static uint64_t inside, outside;  /* instructions executed in <model>_run, and anywhere else */
static uint64_t outside_credited; /* how much of `outside` is in `called` or `before_run` */
static uint64_t *called;          /* [halfword from run_lo]: instructions executed elsewhere on its behalf */
static uint64_t before_run;
static size_t caller; /* halfword from run_lo of the instruction that left <model>_run */
static bool in_run, measuring;
static unsigned inference;

static size_t slots(void)
{
    return (size_t)((run_hi - run_lo) / 2 + 1);
}

static void credit_outside(void)
{
    *(in_run ? &called[caller] : &before_run) += outside - outside_credited;
    outside_credited = outside;
}

static void on_begin(void)
{
    for (block *b = blocks; b != NULL; b = b->next) {
        b->entries = 0;
    }
    memset(called, 0, slots() * sizeof *called);
    inside = outside = outside_credited = before_run = 0;
    in_run = false;
    measuring = true;
}

static void on_end(void)
{
    if (!measuring) {
        return;
    }
    measuring = false;
    credit_outside();
    inference++;
    fprintf(out, "inference %u %" PRIu64 "\n", inference, inside + outside);
    if (inference <= 2) {
        for (const block *b = blocks; b != NULL; b = b->next) {
            for (size_t i = 0; i < b->n; i++) {
                called[b->at[i]] += b->entries;
            }
        }
        for (size_t i = 0; i < slots(); i++) {
            if (called[i] != 0) {
                fprintf(out, "bucket %u 0x%" PRIx64 " %" PRIu64 "\n", inference, run_lo + 2 * i, called[i]);
            }
        }
        fprintf(out, "bucket %u other %" PRIu64 "\n", inference, before_run);
    }
    fflush(out);
}

static void on_block(unsigned int vcpu, void *instructions)
{
    (void)vcpu;
    outside += (uintptr_t)instructions;
}

static void on_begin_block(unsigned int vcpu, void *instructions)
{
    on_begin();
    on_block(vcpu, instructions);
}

static void on_end_block(unsigned int vcpu, void *instructions)
{
    on_end();
    on_block(vcpu, instructions);
}

static void on_run_block(unsigned int vcpu, void *userdata)
{
    block *const b = userdata;
    (void)vcpu;
    credit_outside();
    in_run = true;
    caller = b->at[b->n - 1];
    inside += b->n;
    b->entries++;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    const size_t n = qemu_plugin_tb_n_insns(tb);
    const uint64_t first = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
    void *userdata = (void *)(uintptr_t)n;
    qemu_plugin_vcpu_udata_cb_t callback = on_block;
    (void)id;
    if (first == begin_address) {
        callback = on_begin_block;
    } else if (first == end_address) {
        callback = on_end_block;
    } else if (first >= run_lo && first < run_hi) {
        block *const b = malloc(sizeof *b + n * sizeof b->at[0]);
        if (b == NULL) {
            abort();
        }
        b->entries = 0;
        b->n = n;
        for (size_t i = 0; i < n; i++) {
            uint64_t at = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i));
            at = at < run_hi ? at : run_hi;
            b->at[i] = (size_t)((at - run_lo) / 2);
        }
        b->next = blocks;
        blocks = b;
        callback = on_run_block;
        userdata = b;
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, callback, QEMU_PLUGIN_CB_NO_REGS, userdata);
}

static bool address(const char *argument, const char *key, uint64_t *value)
{
    const size_t n = strlen(key);
    if (strncmp(argument, key, n) != 0 || argument[n] != '=') {
        return false;
    }
    *value = strtoull(argument + n + 1, NULL, 0);
    return true;
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0) {
            out = fopen(argv[i] + 4, "w");
        } else if (!address(argv[i], "begin", &begin_address) && !address(argv[i], "end", &end_address) &&
                   !address(argv[i], "run_lo", &run_lo) && !address(argv[i], "run_hi", &run_hi)) {
            fprintf(stderr, "qemu_count: unknown argument %s\n", argv[i]);
            return -1;
        }
    }
    if (out == NULL || begin_address == 0 || end_address == 0 || run_hi < run_lo) {
        fprintf(stderr, "qemu_count: needs begin, end, run_lo, run_hi and a writable out\n");
        return -1;
    }
    called = calloc(slots(), sizeof *called);
    if (called == NULL) {
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
