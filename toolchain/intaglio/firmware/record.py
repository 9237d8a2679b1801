"""What the application answers with each inference: one record, declared here for C and for Python.

The header that app.c includes is made from `FIELDS`, so that the two cannot differ. Firmware that was built by another
release says another version, which `unpack` refuses.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

VERSION = 1
"""Of `FIELDS` and the requests; a change of either is a new one."""
FIELDS = ("version", "arena_bytes", "stack_bytes", "nanoseconds_low", "nanoseconds_high")
"""32-bit words, in this order, little-endian."""
RESET, PAINT = 1, 2
"""What a request may ask for before its inference: state as at the start; arena and stack measured with its inputs."""
UNKNOWN = 0xFFFFFFFF
"""A figure that cannot be measured there (ITG_PORT_UNKNOWN)."""
_MAGIC = 0x49544700
"""`ITG` above the byte of the version: what comes from something else is not taken for a record."""
_LAYOUT = struct.Struct(f"<{len(FIELDS)}I")
BYTES = _LAYOUT.size
_REQUEST = struct.Struct("<I")


@dataclass(frozen=True)
class Record:
    """Of the inferences up to now: what painting showed (0 before the first PAINT), and the time of the last."""

    arena_bytes: int
    stack_bytes: int | None
    nanoseconds: int
    """0: no clock."""


class RecordError(Exception):
    """What came is no record of this version."""


def header() -> str:
    """itg_record.h."""
    fields = "".join(f"    uint32_t {name};\n" for name in FIELDS)
    return (
        "#include <stdint.h>\n\n"
        f"#define ITG_RECORD_VERSION {_MAGIC | VERSION:#x}u\n"
        f"#define ITG_REQUEST_RESET {RESET}u\n"
        f"#define ITG_REQUEST_PAINT {PAINT}u\n\n"
        f"typedef struct {{\n{fields}}} itg_record;\n"
    )


def request(flags: int) -> bytes:
    """The word before the inputs of an inference."""
    return _REQUEST.pack(flags)


def unpack(data: bytes) -> Record:
    """The record at the head of a reply. Raises RecordError for one of another version, or something else."""
    words = dict(zip(FIELDS, _LAYOUT.unpack(data), strict=True))
    said = words["version"]
    if said != _MAGIC | VERSION:
        other = said & 0xFFFFFF00 == _MAGIC
        raise RecordError(f"a record of version {said & 0xFF}" if other else f"no record ({data[:8].hex(' ')} ...)")
    stack = words["stack_bytes"]
    nanoseconds = words["nanoseconds_high"] << 32 | words["nanoseconds_low"]
    return Record(words["arena_bytes"], None if stack == UNKNOWN else stack, nanoseconds)
