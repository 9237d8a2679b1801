"""One operator of a .tflite, as the classes in ops/ read it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import flatbuffers
import tflite

from ..graph import Array, Tensor
from .base import Refuse


def names(enum: type) -> dict[int, str]:
    """The names of the schema's numbers."""
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


OF_BATCH_ONE = "convert with batch_size=1 and every other size fixed: keras.Input(shape, batch_size=1)"
OPTIONS = names(tflite.BuiltinOptions)


@dataclass(frozen=True, eq=False)
class TfliteNode:
    """One operator of the file, as `Op.from_tflite` sees it."""

    name: str
    builtin: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]
    operator: Any
    open_output: bool = False
    """Whether the file leaves sizes of the first output open (-1): they follow from the inputs, not from `outputs`."""

    def options(self, table: str) -> Any:
        """The options table, e.g. `Conv2DOptions`; where the file has none, one with the schema's defaults."""
        cls = getattr(tflite, table)
        raw = self.operator.BuiltinOptions()
        if raw is None or self.operator.BuiltinOptionsType() == 0:
            return _defaults(cls)
        found = OPTIONS.get(self.operator.BuiltinOptionsType(), "an unknown table")
        if found != table:
            raise Refuse(f"its options are {found}, not {table}")
        options = cls()
        options.Init(raw.Bytes, raw.Pos)
        return options

    def const(self, index: int) -> Array:
        """The value of input `index`, which must be a constant of the file."""
        t = self.inputs[index] if index < len(self.inputs) else None
        if t is None or t.data is None:
            raise Refuse(f"input {index} must be a constant, but it is computed at run time")
        return t.data

    def ints(self, index: int) -> tuple[int, ...]:
        """Input `index` as a flat tuple of integers."""
        t = self.inputs[index] if index < len(self.inputs) else None
        if t is not None and t.data is None and t.dtype in ("int32", "int64") and t.quant is None:
            raise Refuse(f"input {index} must be a constant, but it is computed at run time; {OF_BATCH_ONE}")
        data = self.const(index)
        if data.dtype.kind not in "iu":
            raise Refuse(f"input {index} must hold integers, but it is {data.dtype}")
        return tuple(int(v) for v in data.ravel())

    def activation(self, code: int) -> Any:
        """A fused activation's name; raises Refuse for TANH and SIGN_BIT, which no int8 kernel fuses."""
        names = {0: "none", 1: "relu", 2: "relu_n1_to_1", 3: "relu6"}
        if code not in names:
            raise Refuse(f"its fused activation (code {code}) is not NONE, RELU, RELU_N1_TO_1 or RELU6")
        return names[code]


def _defaults(cls: Any) -> Any:
    b = flatbuffers.Builder(16)
    b.StartObject(0)
    b.Finish(b.EndObject())
    buf = bytes(b.Output())
    table = cls()
    table.Init(buf, struct.unpack_from("<I", buf)[0])
    return table
