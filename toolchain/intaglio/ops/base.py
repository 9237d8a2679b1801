"""What an operator is: a frozen dataclass of attributes with its rules beside it.

One file an operator. A subclass of `Op` in a module of this folder is found by itself (see ops/__init__.py); the
same stem names its kernel in runtime_c/kernels/c and its test in tests/ops.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from .. import sources
from ..graph import DTYPES, Array, DTypeName, Quant, Tensor

if TYPE_CHECKING:
    from ..graph import Graph, Node
    from .activation import Activation
    from .channel_ties import ChannelTies
    from .layer import Weighted
    from .links import Link
    from .portable import Form, Runtime
    from .tflite_node import TfliteNode
    from .window import Pads

Ins = Sequence[Tensor | None]
Outs = Sequence[Tensor]
Types = list[tuple[tuple[int, ...], DTypeName]]
Given = Sequence[Array | None]
"""The values of inputs: None where one is absent, or not known."""
Ends = tuple[list[Array], list[Array]]
"""The least values of each output, and the greatest."""
Picks = Literal["", "some", "all"]
State = Literal["", "reads", "assigns"]


# ---- the arguments of a kernel call -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Buf:
    """A pointer to a graph tensor: in the arena, in the caller's memory, or in flash when it is a constant."""

    tensor: str


@dataclass(frozen=True, eq=False)
class Const:
    """A constant array that lowering made (multipliers, tables). Emitted as `static const`, named MODEL_NODE_SUFFIX.

    `weights`: it holds weights or a bias of the model, and reports count it as such. `align`: the address is a multiple
    of so many bytes; 0 for the alignment of every array (emit/text.py).
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
    """A pointer to `nbytes` of the arena for this call alone. They hold anything at first; 4 bytes or more are 4-byte
    aligned.

    The kernel must write the last of them: the arena is no larger than what is touched. Planning fills in `offset`.
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
        overlaps: the inputs on which the output may lie. It follows from the order of the kernel's loops, so the kernel
            says it and not the operator.
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


UNIT_INT16 = Quant((1 / 32768,), (0,))
"""An int16 output within -1..1, as TFLite fixes it."""
NARROWEST = 2.0**-8
"""The narrowest range of an input whose fixed point is absolute: over less, every curve is a line."""


class Refuse(Exception):
    """Raised by `from_tflite` and its likes: the reason, in one sentence, why this node is not supported."""


# ---- the operator -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Op:
    """Base of all operators. Subclasses are frozen dataclasses: fields are attributes, methods are rules."""

    name: ClassVar[str] = ""
    """The stem: `conv2d` for ops/conv2d.py, kernels/c/conv2d.c, tests/ops/cases/conv2d.py."""
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

    # ---- what passes ask of every operator: where nothing is said, they leave it alone ----------------------------

    supported: ClassVar[bool] = True
    """Whether intaglio can compute it. What cannot be read is a placeholder (unsupported.py)."""
    state: ClassVar[State] = ""
    """What it does with the variable among its inputs."""
    requantizes: ClassVar[bool] = False
    """The output holds the numbers of the input, in another dtype or on another grid: QUANTIZE and DEQUANTIZE."""
    pointwise: ClassVar[bool] = False
    """An element of the output follows from one element of each input, which broadcast."""
    picks: ClassVar[Picks] = ""
    """`some`: every number of an output is a number of an input (MAXIMUM, MAX_POOL_2D, SPLIT). `all`: the output has
    every number of every input as well (RESHAPE, TRANSPOSE; PAD adds its border)."""
    parameters: ClassVar[tuple[int, ...]] = ()
    """Inputs that are parameters: weights, bias, a norm's scale. They are constants, and quantized by rules of their
    own."""
    weighted: ClassVar[bool] = False
    """A layer with weights (input 1) and a bias of one number an output channel (input 2): see layer.py."""
    out_axis: ClassVar[int] = 0
    """The dimension of the weights along which the output channels lie."""
    per_channel: ClassVar[bool] = False
    """Each output channel of a layer with weights reads one input channel."""
    statistics: ClassVar[tuple[int, ...]] = ()
    """Inputs that hold the running statistics of a batch norm; `forward` takes `momentum` in training."""
    output_quants: ClassVar[Mapping[DTypeName, Quant]] = {}
    """The quantization that TFLite fixes for its output, by dtype."""
    gives_probabilities: ClassVar[bool] = False
    """The last dimension of its output adds up to 1."""
    fuses_activation: ClassVar[bool] = False
    """Its `activation` clamps the result before it is rounded to the output's grid."""
    is_clamp: ClassVar[bool] = False
    """It does nothing but clamp."""
    homogeneous: ClassVar[bool] = False
    """f(s * x) = s * f(x) for s > 0, with an s of its own for each channel where the last dimension stays, as far as
    its fused activation allows. Of a layer with weights it holds for each input channel and for each output channel."""
    narrowest_input: ClassVar[float] = 0.0
    """The least range of its quantized input, where its fixed point is absolute."""
    rounding_advice: ClassVar[str] = ""
    """What to do where rounding its result costs accuracy, if there is more to it than a narrower range."""
    finest: ClassVar[Mapping[DTypeName, float]] = {"int8": 2.0**-16, "int16": 2.0**-12}
    """The least range of its output, as a part of its `reach`, by dtype. A finer scale would leave 32 bits in
    requantization, and no result is that precise. In 16 bits there are fewer bits to spare."""

    @property
    def layer(self) -> Weighted | None:
        """Itself, where it has weights: then there is more to ask (layer.py)."""
        return None

    @property
    def title(self) -> str:
        """What it is called where people read it."""
        return self.name

    @property
    def executable(self) -> bool:
        """Whether there is C for it."""
        return type(self).lower is not Op.lower

    @property
    def has_reference(self) -> bool:
        return type(self).reference is not Op.reference

    @property
    def has_forward(self) -> bool:
        """Whether PyTorch can compute it, and train through it."""
        return type(self).forward is not Op.forward

    @property
    def shares_quant(self) -> bool:
        """Whether inputs and outputs must be quantized alike."""
        return bool(self.picks)

    @property
    def stays_in_range(self) -> bool:
        """Whether every result lies between the least and the greatest number of the inputs."""
        return self.shares_quant

    @property
    def increasing(self) -> bool:
        """Whether a larger number in any input never makes a result smaller, in integers too."""
        return bool(self.picks)

    @property
    def clamps_alike(self) -> bool:
        """Whether it gives the same when its inputs are clamped to the range of its output first."""
        return self.picks == "all"

    @property
    def clamp(self) -> Activation:
        """What its result is clamped to: its fused activation, or the one that it is."""
        return getattr(self, "activation", "none")

    @property
    def commutes_with_clamp(self) -> bool:
        """Whether clamping its one input gives the same as clamping its result."""
        return bool(self.picks) and len(self.input_names) == 1 and not self.repeats

    @property
    def forward_is_exact(self) -> bool:
        """Whether `forward` on integers less the zero point, with all tensors quantized alike, gives what `reference`
        gives: training then takes it."""
        return bool(self.picks)

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

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        """Attributes from a .tflite operator, and which of its inputs stay inputs of the node."""
        raise NotImplementedError

    def to_tflite(self, node: Node, graph: Graph) -> TfliteOp:
        raise NotImplementedError

    def portable(self, node: Node, graph: Graph, runtimes: Collection[Runtime]) -> Form | None:
        """Other nodes in place of this one, which all of `runtimes` compute with the bytes of `reference` (floats: but
        for rounding). None where they compute the node itself so. Raises Refuse, naming the runtime, where there is no
        form."""
        return None

    def forward(self, *xs: Any) -> Any:
        """The float meaning on torch tensors in NHWC, differentiable; imports torch when called."""
        raise NotImplementedError

    def channels(self, ins: Ins, outs: Outs, ties: ChannelTies) -> list[Array]:
        """How channels go through, for removing some of them (compress/analyses/dependencies.py).

        Ties the channels that can only go together, names those that constants have along their axes, and returns the
        channel number of each element of each output, int64 [shape]. Without a rule nothing can be cut.
        """
        return ties.blocked(ins, outs)

    def fitted(self, kept: Sequence[Mapping[int, Array]], outs: Outs) -> Op:
        """The operator for tensors that have lost channels: where attributes hold their sizes.

        `kept[i]` has, for each axis along which input i is cut, the indices that are left; `outs` the new shapes.
        """
        return self

    def links(self, ins: Ins, outs: Outs) -> list[Link] | None:
        """Which channels (indices of the last dimension) of inputs and outputs belong together; None where they cannot
        be told apart. An input with a single channel for all of an output's, weights and biases are in no Link."""
        return None

    def moves_channels(self, rank: int) -> bool:
        """Whether the channels of its outputs, of `rank` dimensions, are channels of its inputs as they are."""
        return False

    def bounds(self, lows: Given, highs: Given, ins: Ins, outs: Outs) -> Ends | None:
        """The least and the greatest int8 value of each element of each output, for inputs that lie between `lows` and
        `highs` (None: of another dtype, or absent); None where nothing is known."""
        if not self.increasing or any(x is None for x in lows):
            return None
        return self.reference(lows, ins, outs), self.reference(highs, ins, outs)

    def reach(self, widths: Sequence[float], ins: Ins) -> float:
        """About the largest magnitude in its arithmetic. `widths` are the ranges of its values, without
        `parameters`."""
        return max(widths)

    def quantized_parameters(self, ins: Ins) -> list[Tensor]:
        """Its float `parameters` in integers, without those that are absent. (Those of layers with weights depend on
        more: quantize/weights.py.)"""
        return []

    def learns(self, at: int, t: Tensor) -> bool:
        """Whether training changes constant `t`, which is input `at`."""
        return at in self.trainable

    def affine(self, ins: Ins) -> tuple[Array, Array] | None:
        """(scale, shift) in double, where it is x * scale + shift along the last dimension and is to go into the layer
        before it."""
        return None

    def is_identity(self, ins: Ins, outs: Outs) -> bool:
        """Whether it changes nothing."""
        return False

    @property
    def border(self) -> tuple[Pads, float] | None:
        """Where it does nothing but pad height and width: by how much, and with which number."""
        return None

    def padded(self, pads: Pads, fill: float, x: Tensor) -> Op | None:
        """The operator that pads its input x itself, the same as this one behind a PAD; None where there is none."""
        return None

    def bare(self) -> tuple[Op, Pads, float] | None:
        """Where it pads its input itself: the operator without padding, the padding, and the number that it pads
        with."""
        return None


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
