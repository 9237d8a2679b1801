"""C literals, comments and lines of at most WIDTH characters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..escape import for_c
from ..graph import Array, layer_name
from ..manifest import C_TYPES

WIDTH = 112
_WORD = 4
_PART = 1 << 16
"""Numbers that are text at the same time: as objects they take many times their bytes."""


def array(name: str, data: Array, comment: str, place: str, align: int | None = None) -> str:
    """The definition of a constant array, e.g. `KWS_FLASH ITG_ALIGN(4) static const int8_t kws_l00_shift[64] = {...};`.

    Args:
        name: in C.
        data: the elements.
        comment: what they are.
        place: the macro that names their section.
        align: bytes; by default a word where there is a whole one, for kernels read several elements at once.
    """
    flat = np.asarray(data).ravel()
    # float32 values are themselves as Python's floats, and only 32 bits hold a number that C cannot write.
    literal = _digits if flat.dtype == np.float32 else str if flat.dtype.itemsize < 4 else integer
    parts = (flat[at : at + _PART].tolist() for at in range(0, flat.size, _PART))
    body = _filled(", ".join(", ".join(map(literal, part)) for part in parts), "    ")
    if align is None:
        align = _WORD if flat.nbytes >= _WORD else 1
    aligned = f"ITG_ALIGN({align}) " if align > flat.dtype.itemsize else ""
    declared = f"{place} {aligned}static const {C_TYPES[flat.dtype.name]} {name}[{flat.size}]"
    return "\n".join([f"/* {comment} */", f"{declared} = {{", *body, "};"])


def integer(value: int) -> str:
    return "INT32_MIN" if value == -(1 << 31) else str(value)


def real(value: float) -> str:
    return _digits(float(np.float32(value)))


def _digits(value: float) -> str:
    """A float32 in nine digits, which tell it from its neighbours."""
    text = f"{value:.9g}"
    return (text if "." in text or "e" in text or "n" in text else f"{text}.0") + "f"


def dims(shape: Sequence[int]) -> str:
    return "".join(f"[{d}]" for d in shape) or "[1]"


def comment(text: str) -> str:
    """A layer's or tensor's name for a C comment."""
    return for_c(layer_name(text))


def listed(items: Sequence[str], end: str = "") -> list[str]:
    """Items with a comma after each but the last, which gets `end`."""
    return [*(f"{item}," for item in items[:-1]), f"{items[-1]}{end}"]


def paragraph(text: str, margin: str = "") -> list[str]:
    """A C comment of as many lines as it takes."""
    words = text.split(" ")
    return wrap(["/*", *words[:-1], f"{words[-1]} */"], margin, f"{margin} * ")


def _filled(text: str, margin: str) -> list[str]:
    """Lines of at most WIDTH characters, broken at spaces. For arrays of millions: `wrap` takes an item at a time."""
    room = WIDTH - len(margin)
    lines: list[str] = []
    at = 0
    while len(text) - at > room:
        space = text.rfind(" ", at, at + room + 1)
        lines.append(margin + text[at:space])
        at = space + 1
    return [*lines, margin + text[at:]]


def wrap(items: Sequence[str], first: str, rest: str) -> list[str]:
    """Fill lines of at most WIDTH characters with the items, never breaking inside one."""
    lines: list[str] = []
    line = first + items[0]
    for item in items[1:]:
        if len(line) + 1 + len(item) > WIDTH:
            lines.append(line)
            line = rest + item
        else:
            line += f" {item}"
    return [*lines, line]
