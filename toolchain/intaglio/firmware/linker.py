"""The linker script of a bare-metal board, from the regions of its memory."""

from __future__ import annotations

from ..regions import Content, Memory

_HEAD = """\
/* Made from the board's memory map. The regions are open-ended: sizes are compared with the board's after linking, so
 * that a firmware that does not fit is refused with its exact needs and not with a linker's message.
 * The stack lies at the bottom of its region: an overflow faults at once and overwrites nothing, where nothing is
 * below. */
ENTRY(itg_reset)
"""
_WEIGHTS = """\
    .weights : ALIGN(8)
    {{
        *-{model}.o(.rodata .rodata.*)
        . = ALIGN(4);
    }} > {weights}
"""
_TEXT = """\
    .text :
    {{
        KEEP(*(.vectors))
        *(.text .text.*)
        *(.rodata .rodata.*)
        . = ALIGN(4);
    }} > {code}

    /DISCARD/ : {{ *(.ARM.exidx*) *(.ARM.extab*) *(.eh_frame*) }}

    .stack (NOLOAD) :
    {{
        itg_stack_limit = .;
        . += {stack_bytes:#x};
        itg_stack_top = .;
    }} > {stack}
"""
_ARENA = """\
    .arena (NOLOAD) : ALIGN(8)
    {{
        *(.bss.{model}_arena)
    }} > {arena}
"""
_DATA = """\
    .data : ALIGN(8)
    {{
        itg_data_start = .;
        *(.data .data.*)
        . = ALIGN(4);
        itg_data_end = .;
    }} > {data} AT > {code}
    itg_data_image = LOADADDR(.data);

    .bss (NOLOAD) : ALIGN(8)
    {{
        itg_bss_start = .;
        *(.bss .bss.*)
        *(COMMON)
        . = ALIGN(4);
        itg_bss_end = .;
    }} > {data}
"""


def script(memory: Memory, model: str) -> str:
    """The script that puts the code, constants and variables of firmware around `model` where the board wants them.

    An arena with a region of its own is not cleared at reset: nothing reads what it has not written, which painting it
    before each measured inference shows.
    """
    names = {region.name: f"itg_{region.name}" for region in memory.regions}
    homes: dict[str, str] = {content: names[memory.of(content).name] for content in ("code", "stack", "data")}
    homes |= {"weights": names[memory.of("weights").name], "arena": names[memory.of("arena").name]}
    regions = [
        f"    {names[r.name]} ({'rx' if r.kind == 'flash' else 'rwx'}) : "
        f"ORIGIN = {r.origin:#x}, LENGTH = {memory.room(r):#x}"
        for r in memory.regions
    ]
    # The first pattern that fits takes a section: what goes elsewhere comes first.
    parts = [
        *([_WEIGHTS] if apart(memory, "weights", "code") else []),
        _TEXT,
        *([_ARENA] if apart(memory, "arena", "data") else []),
        _DATA,
    ]
    body = "\n".join(part.format(model=model, stack_bytes=memory.stack_bytes, **homes) for part in parts)
    return "\n".join([_HEAD, "MEMORY", "{", *regions, "}", "", "SECTIONS", "{", body.rstrip(), "}", ""])


def apart(memory: Memory, a: Content, b: Content) -> bool:
    """Whether two things go to different regions."""
    return memory.of(a) != memory.of(b)
