"""Moving bytes: what CONCATENATION, SPLIT, STRIDED_SLICE, TRANSPOSE and PAD share.

Each is an n-dimensional strided copy, the same for every dtype. Dimensions that lie one behind the other on both sides
are merged first, so that the kernel sees few loops around long runs, and one memcpy where nothing is rearranged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..graph import DTYPES, Tensor
from .base import Buf, Call, Num, Refuse, Struct

if TYPE_CHECKING:
    from .tflite_node import TfliteNode

MAX_LOOPS = 6
"""ITG_STRIDED_COPY_RANK in strided_copy.h."""
ALIKE = 2.0**-9
"""Scales this close (relatively) move no int8 value by half a step: bytes may be copied unchanged."""


@dataclass(frozen=True)
class Move:
    """A strided copy in bytes: `size`, `in_step` and `out_step` of each loop, outermost first, around runs of `run`."""

    run: int
    size: tuple[int, ...]
    in_step: tuple[int, ...]
    out_step: tuple[int, ...]
    in_offset: int = 0
    out_offset: int = 0


def steps(shape: Sequence[int]) -> list[int]:
    """Distance in elements between neighbours along each dimension of a dense array."""
    return [math.prod(shape[i + 1 :]) for i in range(len(shape))]


def move(
    size: Sequence[int],
    in_step: Sequence[int],
    out_step: Sequence[int],
    itemsize: int,
    in_offset: int = 0,
    out_offset: int = 0,
) -> Move:
    """The fewest loops that copy `size` elements; steps and offsets are in elements."""
    loops: list[tuple[int, int, int]] = []
    for n, i, o in zip(size, in_step, out_step, strict=True):
        if n == 1:
            continue
        if loops and loops[-1][1:] == (n * i, n * o):
            loops[-1] = (loops[-1][0] * n, i, o)
        else:
            loops.append((n, i, o))
    run = itemsize
    if loops and loops[-1][1:] == (1, 1):
        run *= loops.pop()[0]
    loops = loops or [(1, 0, 0)]
    return Move(
        run,
        tuple(n for n, _, _ in loops),
        tuple(i * itemsize for _, i, _ in loops),
        tuple(o * itemsize for _, _, o in loops),
        in_offset * itemsize,
        out_offset * itemsize,
    )


def move_call(m: Move, source: str, target: str) -> Call:
    """The kernel call of a Move between two tensors."""
    if m.size == (1,) and not m.in_offset and not m.out_offset:
        return Call("copy", "itg_copy", (Buf(source), Buf(target), Num(m.run)))
    params = Struct(
        "itg_strided_copy_params",
        (
            ("in_offset", m.in_offset), ("out_offset", m.out_offset), ("run", m.run), ("rank", len(m.size)),
            ("size", m.size), ("in_step", m.in_step), ("out_step", m.out_step),
        ),
    )  # fmt: skip
    return Call("strided_copy", "itg_strided_copy", (Buf(source), Buf(target), params))


def itemsize(t: Tensor) -> int:
    return DTYPES[t.dtype].itemsize


def alike(a: Tensor, b: Tensor) -> bool:
    """Whether a byte means the same number in both: equal zero points and scales that differ by less than ALIKE."""
    if a.quant is None or b.quant is None or not (a.quant.per_tensor and b.quant.per_tensor):
        return a.quant == b.quant
    return a.zero_point == b.zero_point and abs(a.scale - b.scale) <= ALIKE * max(a.scale, b.scale)


def move_problems(ins: Sequence[Tensor], outs: Sequence[Tensor], moves: Sequence[Move] = ()) -> list[str]:
    """Why bytes cannot simply be moved from `ins` to `outs`: unlike quantization, too many loops."""
    for a in ins:
        for b in outs:
            if not alike(a, b):
                return [f"{b.name} is quantized unlike {a.name}; it moves bytes, so both need the same quantization"]
    if any(len(m.size) > MAX_LOOPS for m in moves):
        return [f"it rearranges more than {MAX_LOOPS} dimensions"]
    return []


# ---- reading a .tflite ------------------------------------------------------------------------------------------


def tensor_input(n: TfliteNode, index: int) -> Tensor:
    """Input `index` of a node of the file, which must be there."""
    t = n.inputs[index] if index < len(n.inputs) else None
    if t is None:
        raise Refuse(f"it has no input {index}")
    return t


def axis_index(axis: int, rank: int) -> int:
    """An axis of a tensor of `rank` dimensions, counted from the front; a negative one counts from the back."""
    if not -rank <= axis < rank:
        raise Refuse(f"axis {axis} does not exist in {rank} dimensions")
    return axis % rank


def one_int(n: TfliteNode, index: int) -> int:
    """Input `index`, a constant of one integer."""
    found = n.ints(index)
    if len(found) != 1:
        raise Refuse(f"input {index} holds {len(found)} integers, not one")
    return found[0]
