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
from ..ops.base import Op, Refuse
from ..ops.hard_swish import HardSwish
from ..ops.leaky_relu import LeakyRelu
from ..ops.logistic import Logistic
from ..ops.maximum import Maximum
from ..ops.minimum import Minimum
from ..ops.mul import Mul
from ..ops.relu import Relu
from ..ops.sub import Sub
from ..ops.tanh import Tanh
from ..ops.window import Pads, Pair
from . import layers
from .layers import binary, image, unary
from .layout import Builder, Const, Shape, Value

CEIL_MODE = "ceil_mode adds windows that reach beyond the padding; pad explicitly and use ceil_mode=False"


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
    return layers.divided(b, c.name, c.value("self"), other)


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
    return layers.hard_sigmoid(b, c.name, c.value("self"))


def leaky_relu(b: Builder, c: AtenCall) -> Result:
    return unary(b, c.name, LeakyRelu(float(c.args["negative_slope"])), c.value("self"))


def prelu(b: Builder, c: AtenCall) -> Result:
    slope = c.const("weight").array
    if slope.size != 1:
        raise Refuse(f"it has {slope.size} slopes; one for all channels is supported")
    return unary(b, c.name, LeakyRelu(float(slope.item())), c.value("self"))


def clamp(b: Builder, c: AtenCall) -> Result:
    """clamp, clamp_min, clamp_max and hardtanh."""
    low, high = (c.args.get(a, c.args.get(h)) for a, h in (("min", "min_val"), ("max", "max_val")))
    return layers.clamped(b, c.name, c.value("self"), low, high)


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
    return layers.cut(b, c.name, v, dim, start, c.shape[dim], step)


def select(b: Builder, c: AtenCall) -> Result:
    v = b.settle(c.value("self"))
    dim = c.dim("dim", len(v.shape))
    one = layers.cut(b, c.name, v, dim, int(c.args["index"]) % v.shape[dim], 1, 1)
    return b.reshape(one, c.shape)


def split(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    dim = c.dim("dim", len(v.shape))
    return layers.split(b, c.name, v, dim, [s[dim] for s in c.shapes])


def cat(b: Builder, c: AtenCall) -> Result:
    return layers.concatenated(b, c.name, c.args["tensors"], int(c.args["dim"]))


def pad(b: Builder, c: AtenCall) -> Result:
    if c.args.get("mode", "constant") != "constant":
        raise Refuse(f"its padding mode is {c.args['mode']}; constant is supported")
    v = c.value("self")
    flat = [int(p) for p in c.args["pad"]]
    pairs = [(0, 0)] * len(v.shape)
    for k in range(len(flat) // 2):  # torch counts from the last dimension
        pairs[len(pairs) - 1 - k] = (flat[2 * k], flat[2 * k + 1])
    return layers.padded(b, c.name, v, pairs, float(c.args.get("value") or 0.0))


# ---- over windows and dimensions ---------------------------------------------------------------------------------


def _windows(c: AtenCall, hw: Shape) -> tuple[Pair, Pair, Pads]:
    """Kernel, stride and padding of a pooling; refuses what rounding up adds."""
    kernel, (ph, pw) = c.pair("kernel_size"), c.pair("padding")
    stride = c.pair("stride") if c.args["stride"] else kernel
    floor = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in zip(hw, (ph, pw), kernel, stride, strict=True))
    if c.args.get("ceil_mode") and floor != c.shape[2:]:
        raise Refuse(CEIL_MODE)
    return kernel, stride, (ph, ph, pw, pw)


def max_pool(b: Builder, c: AtenCall) -> Result:
    if c.pair("dilation") != (1, 1):
        raise Refuse(f"its dilation is {c.args['dilation']}; 1 is supported")
    v = image(b, c.value("self"))
    return layers.max_pool(b, c.name, v, *_windows(c, v.shape[2:]))


def avg_pool(b: Builder, c: AtenCall) -> Result:
    if c.args.get("divisor_override") is not None:
        raise Refuse("divisor_override is set; only the mean of a window is supported")
    v = image(b, c.value("self"))
    return layers.avg_pool(b, c.name, v, *_windows(c, v.shape[2:]), bool(c.args["count_include_pad"]))


def adaptive_pool(b: Builder, c: AtenCall) -> Result:
    """To 1 x 1: MEAN, or the maximum of everything; to a divisor of the size: plain pooling."""
    v = image(b, c.value("self"))
    hw, size = v.shape[2:], c.shape[2:]
    if any(n % s for n, s in zip(hw, size, strict=True)):
        raise Refuse(f"it pools {hw} to {size}, which does not divide it: its windows would be of unlike size")
    kernel = (hw[0] // size[0], hw[1] // size[1])
    if "max" in c.op:
        return layers.max_pool(b, c.name, v, kernel, kernel, (0, 0, 0, 0))
    if size == (1, 1):
        return layers.global_mean(b, c.name, v)
    return layers.avg_pool(b, c.name, v, kernel, kernel, (0, 0, 0, 0), False)


def mean(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    dims = {int(d) % len(v.shape) for d in c.args.get("dim") or range(len(v.shape))}
    return layers.mean(b, c.name, v, dims, bool(c.args.get("keepdim")))


def amax(b: Builder, c: AtenCall) -> Result:
    v = image(b, c.value("self"))
    if {int(d) % 4 for d in c.args["dim"]} != {2, 3}:
        raise Refuse(f"it takes the maximum over dimensions {c.args['dim']}; over height and width it is supported")
    return b.reshape(layers.global_max(b, c.name, v), c.shape)


def softmax(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    return layers.softmax(b, c.name, v, c.dim("dim", len(v.shape)))


def upsample(b: Builder, c: AtenCall) -> Result:
    v = image(b, c.value("input" if "input" in c.args else "self"))
    return layers.upsample(b, c.name, v, (c.shape[2], c.shape[3]))


# ---- with weights ------------------------------------------------------------------------------------------------


def batch_norm(b: Builder, c: AtenCall) -> Result:
    if c.args.get("training"):
        raise Refuse("it normalizes by the batch's own statistics; train with track_running_stats=True")
    vectors = (c.args["weight"], c.args["bias"], c.const("running_mean"), c.const("running_var"))
    return layers.batch_norm(b, c.name, c.value("input"), vectors, float(c.args["eps"]))


def linear(b: Builder, c: AtenCall) -> Result:
    bias = None if c.args["bias"] is None else c.const("bias")
    return layers.linear(b, c.name, c.value("input"), c.const("weight"), bias)


def matmul(b: Builder, c: AtenCall) -> Result:
    """x @ W with a constant matrix W, and addmm: the same plus a bias."""
    if c.args.get("alpha", 1) != 1 or c.args.get("beta", 1) != 1:
        raise Refuse("its factors alpha and beta are not 1")
    w = c.const("other" if "other" in c.args else "mat2")
    if w.array.ndim != 2:
        raise Refuse(f"its second factor has the shape {w.array.shape}; a matrix is supported")
    x = c.value("mat1" if "mat1" in c.args else "self")
    bias = c.const("self") if "mat1" in c.args else None
    if bias is not None and bias.array.ndim != 1:
        raise Refuse("what it adds is not a vector")
    return layers.linear(b, c.name, x, w.permute(1, 0), bias)


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
