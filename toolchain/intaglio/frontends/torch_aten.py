"""What each ATen operator becomes: one function each, from a call to Values, adding nodes to a Builder.

Names and meanings of arguments are those of the operators' schemas (PyTorch, torch.ops.aten). A function raises Refuse
with the reason where an operator's use is not supported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..ops.abs import Abs
from ..ops.add import Add
from ..ops.base import Op, Refuse
from ..ops.elu import Elu
from ..ops.exp import Exp
from ..ops.gelu import Gelu
from ..ops.hard_swish import HardSwish
from ..ops.leaky_relu import LeakyRelu
from ..ops.log import Log
from ..ops.logistic import Logistic
from ..ops.maximum import Maximum
from ..ops.mean import Mean
from ..ops.minimum import Minimum
from ..ops.mul import Mul
from ..ops.neg import Neg
from ..ops.reduce_max import ReduceMax
from ..ops.reduce_min import ReduceMin
from ..ops.reduce_sum import ReduceSum
from ..ops.reduction import Reduction
from ..ops.relu import Relu
from ..ops.rsqrt import Rsqrt
from ..ops.silu import Silu
from ..ops.sqrt import Sqrt
from ..ops.square import Square
from ..ops.sub import Sub
from ..ops.tanh import Tanh
from . import layers, layers_product
from .layers import binary, unary
from .layers_space import picked, repeated
from .layout import Builder, Const, Shape, Value

SELU = (1.6732632423543772, 1.0507009873554805)
"""alpha and scale of SELU (Klambauer et al. 2017)."""


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
    if c.args.get("rounding_mode") is not None:
        raise Refuse(f"it rounds (rounding_mode {c.args['rounding_mode']}), which is not supported")
    return layers.divided(b, c.name, c.args["self"], c.args["other"])


def power(b: Builder, c: AtenCall) -> Result:
    exponent = c.args["exponent"]
    if not isinstance(exponent, int | float):
        raise Refuse("its exponent is a tensor; a number is supported")
    return layers.power(b, c.name, c.value("self"), float(exponent))


def reciprocal(b: Builder, c: AtenCall) -> Result:
    return layers.divided(b, c.name, 1.0, c.value("self"))


def maximum(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Maximum(), c.args["self"], c.args["other"])


def minimum(b: Builder, c: AtenCall) -> Result:
    return binary(b, c.name, Minimum(), c.args["self"], c.args["other"])


def elu(b: Builder, c: AtenCall) -> Result:
    """elu, selu and celu: scale * (x, or alpha * (exp(input_scale * x) - 1) where x is negative)."""
    x, scale, inner = c.value("self"), float(c.args.get("scale", 1)), float(c.args.get("input_scale", 1))
    if inner != 1:
        raise Refuse(f"its input_scale is {inner:g}; 1 is supported")
    if scale == 1:
        return unary(b, c.name, Elu(float(c.args["alpha"])), x)
    return binary(b, c.name, Mul(), unary(b, f"{c.name}_elu", Elu(float(c.args["alpha"])), x), scale)


def gelu(b: Builder, c: AtenCall) -> Result:
    return unary(b, c.name, Gelu(c.args["approximate"] == "tanh"), c.value("self"))


def hardsigmoid(b: Builder, c: AtenCall) -> Result:
    return layers.hard_sigmoid(b, c.name, c.value("self"))


def leaky_relu(b: Builder, c: AtenCall) -> Result:
    return unary(b, c.name, LeakyRelu(float(c.args["negative_slope"])), c.value("self"))


def prelu(b: Builder, c: AtenCall) -> Result:
    """One slope, or one a channel (dimension 1)."""
    x, slopes = c.value("self"), c.const("weight")
    if slopes.array.ndim == 1 and slopes.array.size > 1:
        slopes = Const(slopes.name, slopes.array.reshape(-1, *[1] * (len(x.shape) - 2)))
    return layers.prelu(b, c.name, x, slopes)


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
    """expand, repeat and tile: torch has worked out the new shape."""
    v = c.value("self")
    v = b.reshape(v, (1,) * (len(c.shape) - len(v.shape)) + v.shape)
    return repeated(b, c.name, v, [n // m for n, m in zip(c.shape, v.shape, strict=True)])


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


def index_select(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    return picked(b, c.name, v, c.dim("dim", len(v.shape)), c.const("index").array.ravel().tolist())


def index(b: Builder, c: AtenCall) -> Result:
    """x[:, [2, 0, 1]]: a constant list of indices along one dimension."""
    v, given = c.value("self"), list(c.args["indices"])
    dims = [d for d, i in enumerate(given) if i is not None]
    found = given[dims[0]] if len(dims) == 1 else None
    if not isinstance(found, Const) or found.array.ndim != 1 or found.array.dtype.kind != "i":
        raise Refuse("its indices are not one list of constants")
    dim = dims[0]
    return picked(b, c.name, v, dim, [int(i) % v.shape[dim] for i in found.array])


def flip(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    for k, d in enumerate(c.args["dims"]):
        dim = int(d) % len(v.shape)
        v = layers.cut(b, f"{c.name}_{k}", v, dim, v.shape[dim] - 1, v.shape[dim], -1)
    return v


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


# ---- over dimensions ---------------------------------------------------------------------------------


def _reduction(kind: type[Reduction]) -> Handler:
    def run(b: Builder, c: AtenCall) -> Result:
        v = c.value("self")
        dims = c.args.get("dim")
        dims = range(len(v.shape)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
        found = {int(d) % len(v.shape) for d in dims}
        return layers.over_dimensions(b, c.name, kind, v, found, bool(c.args.get("keepdim")))

    return run


def amax(b: Builder, c: AtenCall) -> Result:
    """Over height and width a pooling, which every TFLite runtime has."""
    v = c.value("self")
    if len(v.shape) != 4 or v.shape[0] != 1 or {int(d) % 4 for d in c.args["dim"]} != {2, 3}:
        return _reduction(ReduceMax)(b, c)
    return b.reshape(layers.global_max(b, c.name, v), c.shape)


def vector_norm(b: Builder, c: AtenCall) -> Result:
    v, order = c.value("self"), c.args["ord"]
    if order not in (1, 2) or c.args["dim"] is None:
        raise Refuse(f"its order is {order}; 1 and 2 along given dimensions are supported")
    dims = {int(d) % len(v.shape) for d in c.args["dim"]}
    return layers.norm_of(b, c.name, v, dims, bool(c.args["keepdim"]), int(order))


def softmax(b: Builder, c: AtenCall) -> Result:
    v = c.value("self")
    return layers.softmax(b, c.name, v, c.dim("dim", len(v.shape)))


# ---- with weights ------------------------------------------------------------------------------------------------


def linear(b: Builder, c: AtenCall) -> Result:
    bias = None if c.args["bias"] is None else c.const("bias")
    return layers.linear(b, c.name, c.value("input"), c.const("weight"), bias)


def matmul(b: Builder, c: AtenCall) -> Result:
    """matmul and mm of a computed value and a constant matrix."""
    other = c.args["other"] if "other" in c.args else c.args["mat2"]
    return layers_product.matmul(b, c.name, c.args["self"], other)


def addmm(b: Builder, c: AtenCall) -> Result:
    if c.args["alpha"] != 1 or c.args["beta"] != 1:
        raise Refuse("its factors alpha and beta are not 1")
    w, bias = c.const("mat2"), c.const("self")
    if bias.array.ndim != 1:
        raise Refuse("what it adds is not a vector")
    return layers.linear(b, c.name, c.value("mat1"), w.permute(1, 0), bias)


def einsum(b: Builder, c: AtenCall) -> Result:
    if len(c.args["tensors"]) != 2:
        raise Refuse(f"it has {len(c.args['tensors'])} factors; two are supported")
    return layers_product.einsum(b, c.name, c.args["equation"], *c.args["tensors"])


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
    "silu": _simple(Silu()),
    "elu": elu,
    "selu": lambda b, c: elu(b, replace(c, args={**c.args, "alpha": SELU[0], "scale": SELU[1]})),
    "gelu": gelu,
    "abs": _simple(Abs()),
    "exp": _simple(Exp()),
    "log": _simple(Log()),
    "sqrt": _simple(Sqrt()),
    "rsqrt": _simple(Rsqrt()),
    "square": _simple(Square()),
    "reciprocal": reciprocal,
    "hardsigmoid": hardsigmoid,
    "add": add,
    "sub": sub,
    "rsub": rsub,
    "mul": mul,
    "div": div,
    "neg": _simple(Neg()),
    "pow": power,
    "maximum": maximum,
    "minimum": minimum,
}
REDUCTIONS: dict[str, Handler] = {
    "mean": _reduction(Mean),
    "sum": _reduction(ReduceSum),
    "amin": _reduction(ReduceMin),
    "amax": amax,
    "linalg_vector_norm": vector_norm,
    "softmax": softmax,
    "_softmax": softmax,
}
IDENTITIES = (
    "dropout", "feature_dropout", "clone", "contiguous", "alias", "detach", "lift_fresh_copy", "to", "_to_copy",
)  # fmt: skip
RESHAPES = ("view", "_unsafe_view", "reshape", "flatten", "squeeze", "unsqueeze", "unflatten")
