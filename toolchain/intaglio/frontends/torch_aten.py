"""What each ATen operator becomes: one function each, from a call to Values, adding nodes to a Builder.

Names and meanings of arguments are those of the operators' schemas (PyTorch, torch.ops.aten). A function raises Refuse
with the reason where an operator's use is not supported.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..ops.add import Add
from ..ops.average_pool2d import AveragePool2D
from ..ops.base import Op, Refuse
from ..ops.batch_norm import BatchNorm
from ..ops.concatenation import Concatenation
from ..ops.fully_connected import FullyConnected
from ..ops.hard_swish import HardSwish
from ..ops.leaky_relu import LeakyRelu
from ..ops.logistic import Logistic
from ..ops.max_pool2d import MaxPool2D
from ..ops.maximum import Maximum
from ..ops.mean import Mean
from ..ops.minimum import Minimum
from ..ops.mul import Mul
from ..ops.pad import Pad
from ..ops.relu import Relu
from ..ops.resize_nearest_neighbor import ResizeNearestNeighbor
from ..ops.softmax import Softmax
from ..ops.split import Split
from ..ops.strided_slice import ALL, StridedSlice
from ..ops.sub import Sub
from ..ops.tanh import Tanh
from .torch_layout import NHWC, Builder, Const, Shape, Value


@dataclass(frozen=True, eq=False)
class AtenCall:
    """One call of the exported program.

    `args` are by schema name, values already looked up; `shapes` are those of the results, as torch sees them.
    """

    name: str
    op: str
    args: dict[str, Any]
    shapes: tuple[Shape, ...]

    @property
    def shape(self) -> Shape:
        return self.shapes[0]

    def value(self, key: str) -> Value:
        """An argument that is computed at run time."""
        v = self.args[key]
        if not isinstance(v, Value):
            raise Refuse(f"its argument {key} is a constant where a computed value is expected")
        return v

    def const(self, key: str) -> Const:
        c = self.args[key]
        if not isinstance(c, Const):
            raise Refuse(f"its argument {key} is computed at run time; it must be a parameter or a buffer")
        return c

    def dim(self, key: str, rank: int) -> int:
        return int(self.args[key]) % rank

    def pair(self, key: str) -> tuple[int, int]:
        """An int, or a list of one or two."""
        v = self.args[key]
        found = [int(v)] if isinstance(v, int) else [int(i) for i in v]
        return (found[0], found[-1])


Result = Value | tuple[Value, ...]
Handler = Callable[[Builder, AtenCall], Result]


# ---- element by element ------------------------------------------------------------------------------------------


def unary(b: Builder, name: str, op: Op, v: Value) -> Value:
    """An operator that looks at one element at a time keeps any layout."""
    [out] = b.node(name, op, [v.name])
    return Value(out, v.shape, v.perm, v.flat_of)


def binary(b: Builder, name: str, op: Op, x: Any, y: Any) -> Value:
    """Broadcasting as in torch, in whichever layout the larger value has."""
    x, y = (_scalar(v) if isinstance(v, int | float) else v for v in (x, y))
    values = [v for v in (x, y) if isinstance(v, Value)]
    if len({(v.shape, v.flat_of) for v in values}) > 1 or any(
        isinstance(c, Const) and (c.value.dim() > 2 or (c.value.dim() == 2 and c.value.shape[0] > 1)) for c in (x, y)
    ):
        x, y = (b.settle(v) if isinstance(v, Value) else v for v in (x, y))
    rank = max(v.value.dim() if isinstance(v, Const) else len(v.shape) for v in (x, y))
    x, y = (_lift(b, v, rank) if isinstance(v, Value) else v for v in (x, y))
    largest = max((v for v in (x, y) if isinstance(v, Value)), key=lambda v: math.prod(v.shape))
    names: list[str] = []
    shapes: list[Shape] = []
    for v in (x, y):
        if isinstance(v, Const):
            names.append(b.const_like(v, largest))
            shapes.append((1,) * (rank - v.value.dim()) + tuple(v.value.shape))
        else:
            if v.flat_of is None:
                v = b.arrange(v, largest.perm)
            names.append(v.name)
            shapes.append(v.shape)
    [out] = b.node(name, op, names)
    shape = tuple(max(pair) for pair in zip(*shapes, strict=True))
    return Value(out, shape, largest.perm, largest.flat_of)


def _scalar(v: int | float) -> Const:
    import torch

    return Const(f"scalar_{v:g}".replace("-", "minus_").replace(".", "_").replace("+", ""), torch.tensor(float(v)))


def _lift(b: Builder, v: Value, rank: int) -> Value:
    return v if len(v.shape) == rank else b.reshape(b.settle(v), (1,) * (rank - len(v.shape)) + v.shape)


def _simple(op: Op) -> Handler:
    return lambda b, c: unary(b, c.name, op, c.value(next(iter(c.args))))


def _scaled(b: Builder, c: AtenCall, v: Any) -> Any:
    """alpha * v, for the `alpha` of add and sub."""
    alpha = c.args.get("alpha", 1)
    if alpha == 1:
        return v
    if isinstance(v, int | float):
        return alpha * v
    return Const(v.name, v.value * alpha) if isinstance(v, Const) else binary(b, f"{c.name}_alpha", Mul(), v, alpha)


def add(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Add(), c.args["self"], _scaled(b, c, c.args["other"]))


def sub(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Sub(), c.args["self"], _scaled(b, c, c.args["other"]))


def rsub(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Sub(), c.args["other"], _scaled(b, c, c.args["self"]))


def mul(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Mul(), c.args["self"], c.args["other"])


def div(b: Builder, c: AtenCall) -> Result:
    other = c.args["other"]
    if isinstance(other, Value) or c.args.get("rounding_mode") is not None:
        raise Refuse("it divides by a value computed at run time, or rounds; only division by a constant is supported")
    inverse = Const(other.name, 1.0 / other.value) if isinstance(other, Const) else 1.0 / other
    return binary(b, c.name, Mul(), c.value("self"), inverse)


def neg(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Mul(), c.value("self"), -1.0)


def power(b: Builder, c: AtenCall) -> Result:
    if c.args["exponent"] != 2:
        raise Refuse(f"its exponent is {c.args['exponent']}; 2 is supported")
    return binary(b, c.name, Mul(), c.value("self"), c.value("self"))


def maximum(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Maximum(), c.args["self"], c.args["other"])


def minimum(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Minimum(), c.args["self"], c.args["other"])


def silu(b: Builder, c: AtenCall) -> Result:
    x = c.value("self")
    return binary(b, c.name, Mul(), x, unary(b, f"{c.name}_sigmoid", Logistic(), x))


def hardsigmoid(b: Builder, c: AtenCall) -> Result:
    gate = binary(b, f"{c.name}_shifted", Add("relu6"), c.value("self"), 3.0)
    return binary(b, c.name, Mul(), gate, 1.0 / 6.0)


def leaky_relu(b: Builder, c: AtenCall) -> Result:
    return unary(b, c.name, LeakyRelu(float(c.args["negative_slope"])), c.value("self"))


def prelu(b: Builder, c: AtenCall) -> Result:
    slope = c.const("weight")
    if slope.value.numel() != 1:
        raise Refuse(f"it has {slope.value.numel()} slopes; one for all channels is supported")
    return unary(b, c.name, LeakyRelu(float(slope.value.item())), c.value("self"))


def clamp(b: Builder, c: AtenCall) -> Result:
    """clamp, clamp_min, clamp_max and hardtanh: the fused activation there is for it, else MAXIMUM and MINIMUM."""
    low, high = (c.args.get(a, c.args.get(h)) for a, h in (("min", "min_val"), ("max", "max_val")))
    v = c.value("self")
    named: dict[tuple[Any, Any], Any] = {(0, None): "relu", (0, 6): "relu6", (-1, 1): "relu_n1_to_1"}
    if (low, high) in named:
        return unary(b, c.name, Relu(named[low, high]), v)
    if low is not None:
        v = binary(b, c.name if high is None else f"{c.name}_low", Maximum(), v, low)
    return v if high is None else binary(b, c.name, Minimum(), v, high)


def identity(b: Builder, c: AtenCall) -> Result:
    if c.args.get("train"):
        raise Refuse("it drops values even in evaluation mode; pass training=self.training")
    return c.value(next(iter(c.args)))


# ---- shapes ------------------------------------------------------------------------------------------------------


def reshape(b: Builder, c: AtenCall) -> Result:
    """view, reshape, flatten, squeeze, unsqueeze: torch has worked out the new shape."""
    return b.reshape(c.value("self"), c.shape)


def expand(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    if math.prod(v.shape) != math.prod(c.shape):
        raise Refuse(f"it repeats {v.shape} to {c.shape}; broadcasting inside add, mul and the like is supported")
    return b.reshape(v, c.shape)


def permute(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    return b.permute(v, [int(d) % len(v.shape) for d in c.args["dims"]])


def transpose(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    dims = list(range(len(v.shape)))
    if len(dims) > 1:
        i, j = (c.dim(k, len(dims)) if k in c.args else d for d, k in enumerate(("dim0", "dim1")))
        dims[i], dims[j] = dims[j], dims[i]
    return b.permute(v, dims)


def slice_(b: Builder, c: AtenCall) -> Result:
    v = b.settle(c.value("self"))
    dim, step = c.dim("dim", len(v.shape)), int(c.args["step"])
    start = 0 if c.args["start"] is None else int(c.args["start"])
    length = v.shape[dim]
    start = min(max(start + length if start < 0 else start, 0), length)
    if c.shape == v.shape:
        return v
    return _cut(b, c, v, dim, start, c.shape[dim], step)


def select(b: Builder, c: AtenCall) -> Result:
    v = b.settle(c.value("self"))
    dim = c.dim("dim", len(v.shape))
    one = _cut(b, c, v, dim, int(c.args["index"]) % v.shape[dim], 1, 1)
    return b.reshape(one, c.shape)


def _cut(b: Builder, c: AtenCall, v: Value, dim: int, start: int, count: int, step: int) -> Value:
    shape = tuple(count if d == dim else n for d, n in enumerate(v.shape))
    at = v.perm.index(dim)
    begin = tuple(start if p == at else 0 for p in range(len(v.perm)))
    stride = tuple(step if p == at else 1 for p in range(len(v.perm)))
    size = tuple(count if p == at else ALL for p in range(len(v.perm)))
    [out] = b.node(c.name, StridedSlice(begin, size, stride), [v.name])
    return Value(out, shape, v.perm)


def split(b: Builder, c: AtenCall) -> Result:
    v = b.settle(c.value("self"))
    dim = c.dim("dim", len(v.shape))
    if len(c.shapes) == 1:
        return (v,)
    outs = b.node(c.name, Split(v.perm.index(dim), tuple(s[dim] for s in c.shapes)), [v.name])
    return tuple(Value(o, s, v.perm) for o, s in zip(outs, c.shapes, strict=True))


def cat(b: Builder, c: AtenCall) -> Result:
    parts = [b.settle(v) if isinstance(v, Value) else v for v in c.args["tensors"]]
    first = max((v for v in parts if isinstance(v, Value)), key=lambda v: math.prod(v.shape))
    names = [b.const_like(v, first) if isinstance(v, Const) else b.arrange(v, first.perm).name for v in parts]
    dim = c.dim("dim", len(first.shape))
    [out] = b.node(c.name, Concatenation(first.perm.index(dim)), names)
    return Value(out, c.shape, first.perm)


def pad(b: Builder, c: AtenCall) -> Result:
    if c.args.get("mode", "constant") != "constant":
        raise Refuse(f"its padding mode is {c.args['mode']}; constant is supported")
    v = b.settle(c.value("self"))
    flat = [int(p) for p in c.args["pad"]]
    if any(p < 0 for p in flat):
        raise Refuse(f"its padding {flat} is negative; crop with a slice instead")
    pairs = [(0, 0)] * len(v.shape)
    for k in range(len(flat) // 2):  # torch counts from the last dimension
        pairs[len(pairs) - 1 - k] = (flat[2 * k], flat[2 * k + 1])
    [out] = b.node(c.name, Pad(tuple(pairs[p] for p in v.perm), float(c.args.get("value") or 0.0)), [v.name])
    return Value(out, c.shape, v.perm)


# ---- over windows and dimensions ---------------------------------------------------------------------------------


def image(b: Builder, v: Value, what: str = "value") -> Value:
    """A 4-D value, stored NHWC."""
    if len(v.shape) != 4:
        raise Refuse(f"its {what} has the shape {v.shape}; four dimensions (n, c, h, w) are supported")
    return b.arrange(v, NHWC)


def _windows(c: AtenCall, hw: Shape) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int]]:
    """Kernel, stride and padding of a pooling; refuses what rounding up adds."""
    kernel, padding = c.pair("kernel_size"), c.pair("padding")
    stride = c.pair("stride") if c.args["stride"] else kernel
    floor = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in zip(hw, padding, kernel, stride, strict=True))
    if c.args.get("ceil_mode") and floor != c.shape[2:]:
        raise Refuse("ceil_mode adds windows that reach beyond the padding; pad explicitly and use ceil_mode=False")
    return kernel, stride, padding


def max_pool(b: Builder, c: AtenCall) -> Result:
    if c.pair("dilation") != (1, 1):
        raise Refuse(f"its dilation is {c.args['dilation']}; 1 is supported")
    v = image(b, c.value("self"))
    kernel, stride, (ph, pw) = _windows(c, v.shape[2:])
    [out] = b.node(c.name, MaxPool2D(kernel, stride, (ph, ph, pw, pw)), [v.name])
    return Value(out, c.shape, NHWC)


def avg_pool(b: Builder, c: AtenCall) -> Result:
    if c.args.get("divisor_override") is not None:
        raise Refuse("divisor_override is set; only the mean of a window is supported")
    v = image(b, c.value("self"))
    kernel, stride, (ph, pw) = _windows(c, v.shape[2:])
    pads, source = (ph, ph, pw, pw), v.name
    if any(pads) and c.args["count_include_pad"]:
        # TFLite leaves padding out of the count, so zeros that count have to be elements.
        [source] = b.node(f"{c.name}_padded", Pad(((0, 0), (ph, ph), (pw, pw), (0, 0))), [source])
        pads = (0, 0, 0, 0)
    [out] = b.node(c.name, AveragePool2D(kernel, stride, pads), [source])
    return Value(out, c.shape, NHWC)


def adaptive_pool(b: Builder, c: AtenCall) -> Result:
    """To 1 x 1: MEAN, or the maximum of everything; to a divisor of the size: plain pooling."""
    v = image(b, c.value("self"))
    hw, size = v.shape[2:], c.shape[2:]
    if any(n % s for n, s in zip(hw, size, strict=True)):
        raise Refuse(f"it pools {hw} to {size}, which does not divide it: its windows would be of unlike size")
    kernel = (hw[0] // size[0], hw[1] // size[1])
    if "max" in c.op:
        op: Op = MaxPool2D(kernel, kernel)
    else:
        op = Mean((1, 2), True) if size == (1, 1) else AveragePool2D(kernel, kernel)
    [out] = b.node(c.name, op, [v.name])
    return Value(out, c.shape, NHWC)


def mean(b: Builder, c: AtenCall) -> Result:
    v = b.settle(c.value("self"))
    dims = {int(d) % len(v.shape) for d in c.args.get("dim") or range(len(v.shape))}
    if 0 in dims:
        raise Refuse("it averages over the batch")
    axes = tuple(sorted(v.perm.index(d) for d in dims))
    if c.args.get("keepdim"):
        [out] = b.node(c.name, Mean(axes, True), [v.name])
        return Value(out, c.shape, v.perm)
    [out] = b.node(c.name, Mean(axes, False), [v.name])
    left = sorted(set(range(len(v.shape))) - dims)
    return Value(out, c.shape, tuple(left.index(p) for p in v.perm if p not in dims))


def amax(b: Builder, c: AtenCall) -> Result:
    v = image(b, c.value("self"))
    if {int(d) % 4 for d in c.args["dim"]} != {2, 3}:
        raise Refuse(f"it takes the maximum over dimensions {c.args['dim']}; over height and width it is supported")
    [out] = b.node(c.name, MaxPool2D((v.shape[2], v.shape[3]), (v.shape[2], v.shape[3])), [v.name])
    return b.reshape(Value(out, (*v.shape[:2], 1, 1), NHWC), c.shape)


def softmax(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    dim = c.dim("dim", len(v.shape))
    v = b.channels_last(v, dim)
    [out] = b.node(c.name, Softmax(), [v.name])
    return Value(out, v.shape, v.perm)


def upsample(b: Builder, c: AtenCall) -> Result:
    v = image(b, c.value("input" if "input" in c.args else "self"))
    if any(s % n for s, n in zip(c.shape[2:], v.shape[2:], strict=True)):
        raise Refuse(f"it resizes {v.shape[2:]} to {c.shape[2:]}; whole multiples are supported")
    [out] = b.node(c.name, ResizeNearestNeighbor((c.shape[2], c.shape[3])), [v.name])
    return Value(out, c.shape, NHWC)


# ---- with weights ------------------------------------------------------------------------------------------------


def batch_norm(b: Builder, c: AtenCall) -> Result:
    import torch

    if c.args.get("training"):
        raise Refuse("it normalizes by the batch's own statistics; train with track_running_stats=True")
    v = c.value("input")
    mean_, variance = c.const("running_mean"), c.const("running_var")
    ones = torch.ones_like(mean_.value)
    gamma = c.args["weight"] or Const(f"{c.name}_gamma", ones)
    beta = c.args["bias"] or Const(f"{c.name}_beta", ones * 0)
    if v.flat_of is None:
        v = b.channels_last(v, 1)
        vectors = [b.const(t.name, t.value) for t in (gamma, beta, mean_, variance)]
    else:
        shape, perm = v.flat_of
        stats = (gamma, beta, mean_, variance)
        vectors = [b.const(t.name, t.value.reshape(shape).permute(perm).reshape(-1)) for t in stats]
    [out] = b.node(c.name, BatchNorm(float(c.args["eps"])), [v.name, *vectors])
    return Value(out, v.shape, v.perm, v.flat_of)


def linear(b: Builder, c: AtenCall) -> Result:
    bias = c.args["bias"]
    return _linear(b, c, c.value("input"), c.const("weight"), None if bias is None else c.const("bias"))


def matmul(b: Builder, c: AtenCall) -> Result:
    """x @ W with a constant matrix W, and addmm: the same plus a bias."""
    if c.args.get("alpha", 1) != 1 or c.args.get("beta", 1) != 1:
        raise Refuse("its factors alpha and beta are not 1")
    w = c.const("other" if "other" in c.args else "mat2")
    if w.value.dim() != 2:
        raise Refuse(f"its second factor has the shape {tuple(w.value.shape)}; a matrix is supported")
    x = c.value("mat1" if "mat1" in c.args else "self")
    bias = c.const("self") if "mat1" in c.args else None
    if bias is not None and bias.value.dim() != 1:
        raise Refuse("what it adds is not a vector")
    return _linear(b, c, x, Const(w.name, w.value.t()), bias)


def _linear(b: Builder, c: AtenCall, v: Value, w: Const, bias: Const | None) -> Value:
    weights = w.value
    if v.flat_of is not None:
        # The elements lie in the order of the value before the flattening; the columns are put in the same order.
        shape, perm = v.flat_of
        columns = weights.reshape(weights.shape[0], *shape).permute(0, *(p + 1 for p in perm))
        weights = columns.reshape(weights.shape[0], -1)
    elif v.perm[-1] != len(v.shape) - 1:
        v = b.arrange(v, tuple(range(len(v.shape))))
    names = [v.name, b.const(w.name, weights)]
    if bias is not None:
        names.append(b.const(bias.name, bias.value))
    [out] = b.node(c.name, FullyConnected(keep_num_dims=len(v.shape) != 2), names)
    return Value(out, c.shape, v.perm)


ELEMENTWISE: dict[str, Handler] = {
    "relu": _simple(Relu("relu")),
    "relu6": _simple(Relu("relu6")),
    "sigmoid": _simple(Logistic()),
    "tanh": _simple(Tanh()),
    "hardswish": _simple(HardSwish()),
    "hardtanh": clamp,
    "clamp": clamp,
    "clamp_min": clamp,
    "clamp_max": clamp,
    "leaky_relu": leaky_relu,
    "prelu": prelu,
    "silu": silu,
    "hardsigmoid": hardsigmoid,
    "add": add,
    "sub": sub,
    "rsub": rsub,
    "mul": mul,
    "div": div,
    "neg": neg,
    "pow": power,
    "maximum": maximum,
    "minimum": minimum,
}
IDENTITIES = (
    "dropout", "feature_dropout", "clone", "contiguous", "alias", "detach", "lift_fresh_copy", "to", "_to_copy",
)  # fmt: skip
RESHAPES = ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten")
