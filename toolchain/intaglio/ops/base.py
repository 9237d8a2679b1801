"""What an operator is: a frozen dataclass of attributes with its rules beside it.

One file an operator. A subclass of `Op` in a module of this folder is found by itself (see ops/__init__.py); the
same stem names its kernel in runtime_c/kernels/c and its test in tests/ops.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import sources
from ..graph import DTYPES, Array, DTypeName, Tensor

if TYPE_CHECKING:
    from ..compress.dependencies import Channels
    from ..frontends.tflite import TfliteNode
    from ..graph import Graph, Node
    from .portable import Form, Runtime
    from .weighted import WeightedLayer

Ins = Sequence[Tensor | None]
Outs = Sequence[Tensor]
Types = list[tuple[tuple[int, ...], DTypeName]]


# ---- the arguments of a kernel call -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Buf:
    """A pointer to a graph tensor: in the arena, in the caller's memory, or in flash when it is a constant."""

    tensor: str


@dataclass(frozen=True, eq=False)
class Const:
    """A constant array that lowering made (multipliers, tables). Emitted as `static const`, named MODEL_NODE_SUFFIX.

    `weights` says that it stands for a constant of the model, and counts as such in what is measured. `align`: bytes
    of which the address is a multiple; 0 for what every array has (emit/c.py).
    """

    suffix: str
    data: Array
    comment: str = ""
    weights: bool = False
    align: int = 0


@dataclass(frozen=True)
class Null:
    """An absent optional pointer."""


@dataclass(frozen=True)
class Num:
    """A plain integer argument, or a float one."""

    value: int | float


@dataclass(frozen=True)
class Scratch:
    """A pointer to `nbytes` of the arena that are the call's own, with any content at first; 4-byte aligned where they
    are 4 bytes or more.

    The kernel must write the last of them, for the arena is to be no larger than what is touched. Planning fills in
    `offset`.
    """

    nbytes: int
    dtype: DTypeName = "int8"
    offset: int | None = None


FieldValue = int | float | Sequence[int] | Buf | Const | Null


@dataclass(frozen=True, eq=False)
class Struct:
    """A `static const` struct passed by address: the C type and its fields in the order of the declaration.

    Each field is (name, value); the name is emitted as a comment beside the value.
    """

    ctype: str
    fields: tuple[tuple[str, FieldValue], ...]


Arg = Buf | Const | Null | Num | Scratch | Struct


@dataclass(frozen=True)
class Overlap:
    """Where a kernel's output may lie on one of its inputs: `lag` bytes before it, or further before.

    With a lag of 0 the kernel writes byte i after it has read all that it needs of the input from byte i on. A kernel
    that reads rows again, or writes more than it reads, needs a lag.
    """

    tensor: str
    lag: int = 0


@dataclass(frozen=True, eq=False)
class Call:
    """One call of one kernel: the function of a C file, with its arguments in order.

    Attributes:
        kernel: the stem of the file.
        function: the C name.
        args: pointers, numbers, a struct of parameters.
        folder: of runtime_c/kernels, where the file is.
        overlaps: the inputs on which the output may lie. It describes the order of the kernel's loops, so that it is
            said here and not by the operator.
    """

    kernel: str
    function: str
    args: tuple[Arg, ...]
    folder: str = "c"
    overlaps: tuple[Overlap, ...] = ()

    @property
    def scratches(self) -> list[Scratch]:
        return [a for a in self.args if isinstance(a, Scratch)]

    @property
    def files(self) -> dict[str, Path]:
        """The C files and headers of the kernel, by name: its own and all that they include."""
        return sources.needed(self.folder, self.kernel)


# ---- what an operator looks like in a .tflite -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TfliteOp:
    """How a node is written to a .tflite.

    `options` names the table (`Conv2DOptions`, empty for none) and `fields` its members; an ndarray among `inputs`
    becomes a constant tensor (paddings, axes, shapes), a Tensor a quantized constant, a string is a tensor of the
    graph, "" an absent input.
    """

    builtin: str
    inputs: tuple[str | Array | Tensor, ...]
    options: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1


class Refuse(Exception):
    """Raised by `from_tflite` and its likes: the reason, in one sentence, why this node is not supported."""


# ---- the operator -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Op:
    """Base of all operators. Subclasses are frozen dataclasses: fields are attributes, methods are rules."""

    name: ClassVar[str] = ""
    """The stem: `conv2d` for ops/conv2d.py, kernels/c/conv2d.c, tests/ops/test_conv2d.py."""
    tflite: ClassVar[tuple[str, ...]] = ()
    """Builtin operators of TFLite that this class reads."""
    input_names: ClassVar[tuple[str, ...]] = ("x",)
    """What the inputs are called; a constant input is emitted under this name (weights, bias)."""
    optional: ClassVar[int] = 0
    """How many of the last inputs may be absent."""
    repeats: ClassVar[bool] = False
    """Any number of inputs follows the first, all like it."""
    infinite: ClassVar[tuple[str, ...]] = ()
    """Attributes that may be an infinity; other numbers are finite."""
    trainable: ClassVar[tuple[int, ...]] = ()
    """Inputs whose float constants training changes; other constants stay as they are (see train/module.py)."""
    is_view: ClassVar[bool] = False
    """Moves no data: the output is the input's bytes under another shape."""

    def infer(self, ins: Ins, outs: Outs) -> Types:
        """Shapes and dtypes of the outputs. `outs` is given for the operators whose dtype is a free choice
        (QUANTIZE). Raises GraphError when the inputs do not fit the attributes."""
        raise NotImplementedError

    def check(self, ins: Ins, outs: Outs) -> list[str]:
        """Why this node cannot be compiled, to integers or to float32 as its tensors are: one sentence a reason,
        nothing when it can."""
        return []

    def macs(self, ins: Ins, outs: Outs) -> int:
        """Multiply-accumulates of one inference."""
        return 0

    def reference(self, xs: Sequence[Array | None], ins: Ins, outs: Outs) -> list[Array]:
        """The meaning in NumPy. On integers exact: equal to the TFLM reference kernels byte for byte. On float32
        rounded once, from sums in double; kernels come close to it."""
        raise NotImplementedError

    def lower(self, node: Node, graph: Graph) -> Call | tuple[Call, ...]:
        """The call of the portable kernel, or calls in order, with every multiplier, shift and zero point worked out.

        Faster kernels, and those that read weights stored in another way, make calls of their own (kernels/)."""
        raise NotImplementedError

    def layer(self, node: Node, graph: Graph, by_channel: bool = False) -> WeightedLayer | None:
        """What an operator with weights tells the kernels that compute it; None for all others (ops/weighted.py).

        `by_channel`: for kernels that decode the weights of an output channel once, for all positions."""
        return None

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        """Attributes from a .tflite operator, and which of its inputs stay inputs of the node."""
        raise NotImplementedError

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise NotImplementedError

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """The node as other nodes, for a file that all of `runtimes` run with the bytes of `reference` (floats: but for
        rounding); None where they compute it so as it is. Raises Refuse, naming the runtime, where there is no form."""
        return None

    def forward(self, *xs: Any) -> Any:
        """The float meaning on torch tensors in NHWC, differentiable; imports torch when called."""
        raise NotImplementedError

    def channels(self, ins: Ins, outs: Outs, ties: Channels) -> list[Array]:
        """How channels go through, for removing some of them (compress/dependencies.py).

        Ties the channels that can only go together, names those that constants have along their axes, and returns the
        channel number of each element of each output, int64 [shape]. Without a rule nothing can be cut.
        """
        return ties.blocked(ins, outs)

    def fitted(self, kept: Sequence[Mapping[int, Array]], outs: Outs) -> Op:
        """The operator for tensors that have lost channels: where attributes hold their sizes.

        `kept[i]` has, for each axis along which input i is cut, the indices that are left; `outs` the new shapes.
        """
        return self


def over(x: Tensor, out: Tensor) -> tuple[Overlap, ...]:
    """For a kernel that goes through x and `out` element by element: it may write over x where they are alike."""
    alike = x.shape == out.shape and DTYPES[x.dtype].itemsize == DTYPES[out.dtype].itemsize
    return (Overlap(x.name),) if alike else ()


def same_quant(a: Tensor, b: Tensor) -> bool:
    return a.quant is not None and b.quant is not None and a.quant == b.quant


def need(t: Tensor | None) -> Tensor:
    """A required input."""
    if t is None:
        raise AssertionError("the front ends refuse a node without its required inputs")
    return t


def arr(x: Array | None) -> Array:
    if x is None:
        raise AssertionError("a required input has no value")
    return np.asarray(x)
