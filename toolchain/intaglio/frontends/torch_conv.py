"""Convolutions and pooling of ATen, one- and two-dimensional: weights to TFLite's layouts, padding made explicit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..ops.base import Refuse
from ..ops.window import Pads, Pair
from . import layers
from .layers import image
from .layout import Builder, Const, Shape, Value
from .torch_aten import AtenCall, Handler, Result

CEIL_MODE = "ceil_mode adds windows that reach beyond the padding; pad explicitly and use ceil_mode=False"


def conv2d(b: Builder, c: AtenCall) -> Result:
    """aten::conv2d: grouped and depthwise too; padding as numbers, 'same' or 'valid'."""
    weights, dilation = c.const("weight"), c.pair("dilation")
    kh, kw = weights.array.shape[2:]
    pads, groups = _pads(c, (kh, kw), dilation), int(c.args["groups"])
    return layers.convolution(b, c.name, c.value("input"), weights, _bias(c), c.pair("stride"), dilation, pads, groups)


def conv_transpose2d(b: Builder, c: AtenCall) -> Result:
    """aten::conv_transpose2d: torch's padding cuts the top and left of the result, its output size the rest."""
    if int(c.args["groups"]) != 1 or c.pair("dilation") != (1, 1):
        raise Refuse(f"it has groups {c.args['groups']} and dilation {c.args['dilation']}; 1 and 1 are supported")
    v, size = c.value("input"), (c.shape[2], c.shape[3])
    return layers.transposed_convolution(
        b, c.name, v, c.const("weight"), _bias(c), c.pair("stride"), size, c.pair("padding")
    )


def _bias(c: AtenCall) -> Const | None:
    return None if c.args["bias"] is None else c.const("bias")


def _pads(c: AtenCall, kernel: tuple[int, int], dilation: tuple[int, int]) -> tuple[int, int, int, int]:
    padding = c.args["padding"]
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        # torch allows it for stride 1 only, and puts the odd element last.
        total = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
        return (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    ph, pw = c.pair("padding")
    return (ph, ph, pw, pw)


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


def _as_2d(handler: Handler, key: str) -> Handler:
    """A one-dimensional operator as the two-dimensional one on maps of height 1."""

    def run(b: Builder, c: AtenCall) -> Result:
        v = c.value(key)
        if len(v.shape) != 3:
            raise Refuse(f"its input has the shape {v.shape}; three dimensions (n, c, length) are supported")
        args: dict[str, Any] = dict(c.args)
        args[key] = b.reshape(v, (*v.shape[:2], 1, v.shape[2]))
        for name, neutral in (("stride", 1), ("padding", 0), ("dilation", 1), ("kernel_size", 1)):
            if name in args and not isinstance(args[name], str) and args[name] != []:
                args[name] = [neutral, *(args[name] if isinstance(args[name], list | tuple) else [args[name]])]
        if isinstance(args.get("weight"), Const):
            args["weight"] = replace(args["weight"], value=args["weight"].array[:, :, None])
        n, channels, length = c.shape
        out = handler(b, replace(c, args=args, shapes=((n, channels, 1, length),)))
        assert isinstance(out, Value)
        return b.reshape(out, c.shape)

    return run


def _single(handler: Handler, key: str) -> Handler:
    """The one-dimensional form of a pooling, which has fewer arguments than the two-dimensional one."""
    neutral: dict[str, Any] = {"divisor_override": None}
    return _as_2d(lambda b, c: handler(b, replace(c, args={**neutral, **c.args})), key)


HANDLERS: dict[str, Handler] = {
    "conv2d": conv2d,
    "conv1d": _as_2d(conv2d, "input"),
    "conv_transpose2d": conv_transpose2d,
    "conv_transpose1d": _as_2d(conv_transpose2d, "input"),
    "max_pool2d": max_pool,
    "max_pool2d_with_indices": max_pool,
    "max_pool1d": _as_2d(max_pool, "self"),
    "avg_pool2d": avg_pool,
    "avg_pool1d": _single(avg_pool, "self"),
    "adaptive_avg_pool2d": adaptive_pool,
    "_adaptive_avg_pool2d": adaptive_pool,
    "adaptive_max_pool2d": adaptive_pool,
    "adaptive_avg_pool1d": _as_2d(adaptive_pool, "self"),
    "adaptive_max_pool1d": _as_2d(adaptive_pool, "self"),
}
