"""Shapes that a .tflite leaves open: a batch is 1, and what else is open follows from the operators, or is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..ops.tflite_node import OF_BATCH_ONE

Shape = tuple[int, ...]


def sizes(raw: Any) -> tuple[Shape, Shape, str]:
    """Of a tensor of the file: its shape with 1 where a size is open, the same with -1 there, and why a Graph cannot
    hold it, or ""."""
    given = [int(raw.Shape(k)) for k in range(raw.ShapeLength())]
    signature = [int(raw.ShapeSignature(k)) for k in range(raw.ShapeSignatureLength())]
    if signature and len(signature) != len(given):
        return (), (), f"dynamic shape {signature}"
    # Old converters write a batch that is left open as 0 or -1 and give no signature.
    batch = bool(given) and given[0] == 0
    pairs = enumerate(zip(given, signature or given, strict=True))
    left = [-1 if -1 in (d, s) or (batch and k == 0) else d for k, (d, s) in pairs]
    if any(d < 1 and d != -1 for d in left):
        return (), (), f"dynamic shape {signature or given}"
    return tuple(1 if d == -1 else d for d in left), tuple(left), ""


def fits(found: tuple[Shape, str], declared: tuple[Shape, str]) -> bool:
    """Whether a shape and dtype are those that are declared, where -1 is any size."""
    (shape, dtype), (wanted, declared_dtype) = found, declared
    alike = len(shape) == len(wanted) and all(w in (-1, d) for w, d in zip(wanted, shape, strict=True))
    return alike and dtype == declared_dtype


def strange(kinds: Sequence[str]) -> str:
    """What tensors a Graph cannot hold, and what to do where it is their shape."""
    return ", ".join(kinds) + (f"; {OF_BATCH_ONE}" if any(k.startswith("dynamic shape") for k in kinds) else "")
