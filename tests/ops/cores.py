"""Programs for the cores that QEMU emulates, with stdin and stdout: what the harness runs its cases with."""

from __future__ import annotations

from pathlib import Path

from intaglio import boards
from intaglio.targets import Target

BOARDS = {
    "cortex-m0plus": "qemu-m0plus-an385",
    "cortex-m3": "qemu-mps2-an385",
    "cortex-m4": "qemu-mps2-an386",
    "cortex-m7": "qemu-mps2-an500",
    "cortex-m33": "qemu-mps2-an505",
    "cortex-m55": "qemu-mps3-an547",
    "cortex-a53": "qemu-rpi3",
    "cortex-a72": "qemu-rpi4",
    "cortex-a76": "qemu-rpi5",
}
"""A board with each core."""
START = """extern void _start(void);
static void start(void)
{
#ifdef __ARM_FP
    *(volatile unsigned *)0xE000ED88 |= 0xFu << 20; /* the FPU and Helium may be used */
#endif
    _start();
}
__attribute__((section(".first"), used)) static void (*const first[2])(void) = {(void (*)(void))STACK, start};
"""
"""The vector table: all that newlib's own start (rdimon, which speaks semihosting) lacks on a bare core."""
ROOM = 0x78000
"""Bytes from the lowest address, which all of the boards have."""


def compiler(target: Target, folder: Path) -> tuple[list[str], list[str]]:
    """What a compilation begins with, and what is linked besides."""
    if target.system == "linux":
        return [target.gcc.program, "-O1", *target.gcc.flags], ["-static"]
    (folder / "start.c").write_text(START)
    memory = boards.load(BOARDS[target.name]).memory
    assert memory is not None
    origin = memory.of("code").origin
    places = [
        f"-Wl,--section-start=.first={origin:#x}",
        f"-Wl,--section-start=.init={origin + 0x40:#x}",
        f"-Wl,-Ttext={origin + 0x400:#x}",
        "-Wl,--no-warn-rwx-segments",
    ]
    start = ["-Wno-pedantic", f"-DSTACK={origin + ROOM:#x}", "start.c"]
    return [target.gcc.program, "-O1", *target.gcc.flags, "--specs=rdimon.specs", *places], start


def program(target: Target, elf: Path) -> list[str | Path]:
    """The command that runs it."""
    runner = boards.load(BOARDS[target.name]).runner
    if runner.kind == "qemu-user":
        return [runner.program, "-cpu", runner.cpu, elf]
    assert runner.kind == "qemu-system"
    quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
    return [
        "qemu-system-arm",
        "-M",
        runner.machine,
        *quiet,
        "-semihosting-config",
        "enable=on,target=native",
        "-kernel",
        elf,
    ]
