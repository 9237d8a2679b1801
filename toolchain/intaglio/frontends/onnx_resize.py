"""ONNX operators that resize images or deal out pixels: Resize, Upsample, DepthToSpace, SpaceToDepth."""

from __future__ import annotations

import math

import numpy as np

from ..graph import Array
from ..ops.base import Refuse
from ..ops.window import MAX_SIDE, Pair
from . import layers_space
from .layout import Builder, Value
from .onnx_conv import like, spatial
from .onnx_fold import axis_in
from .onnx_ops import Handler, OnnxCall, Result

EXACT = 1e-4
"""A scale is the quotient of the sizes when it gives the size to within this many pixels."""


def resize(b: Builder, c: OnnxCall) -> Result:
    v = spatial(b, c.value())
    if c.attr("keep_aspect_ratio_policy", str, "stretch") != "stretch":
        raise Refuse("it keeps the aspect ratio; give the sizes that it comes to")
    size, scale = _target(c, 3, 2)
    return like(b, c, _resized(b, c, v, size, scale, c.attr("mode", str, "nearest")))


def upsample(b: Builder, c: OnnxCall) -> Result:
    """The older name: coordinates are asymmetric, and rounded down."""
    v, mode = spatial(b, c.value()), c.attr("mode", str, "nearest")
    size, scale = _target(c, 9, 1)
    if mode == "nearest":
        return like(b, c, layers_space.nearest(b, c.name, v, size, _sources(v, size, scale, "asymmetric", "floor")))
    if mode != "linear":
        raise Refuse(f"its mode is {mode}; nearest and linear are supported")
    _check_scale(v, size, scale)
    return like(b, c, layers_space.bilinear(b, c.name, v, size, False, False))


def _target(c: OnnxCall, sizes_at: int, scales_at: int) -> tuple[Pair, tuple[float, float]]:
    """(height, width) of the result, and the scales; height 1 where there is only a length."""
    shape = c.value().shape
    rank = len(shape)
    axes = [axis_in(a, rank) for a in c.attr("axes", list, list(range(rank)))]
    if c.has(sizes_at):
        given = [float(n) for n in c.ints(sizes_at)]
        scales = [n / shape[a] for n, a in zip(given, axes, strict=True)]
    else:
        given = [] if not c.has(scales_at) else [float(s) for s in c.const(scales_at).array.ravel()[:8]]
        if len(given) != len(axes) or not all(0 < s <= MAX_SIDE for s in given):
            raise Refuse(f"its scales {given} do not fit {len(axes)} dimensions")
        scales = given
    size, scale = list(shape), [1.0] * rank
    for a, s in zip(axes, scales, strict=True):
        scale[a] = s
        # Scales are float32 numbers, and so is the product in every runtime.
        size[a] = round(shape[a] * s) if c.has(sizes_at) else math.floor(float(np.float32(shape[a]) * np.float32(s)))
    if tuple(size[:2]) != shape[:2] or not all(1 <= n <= MAX_SIDE for n in size[2:]):
        raise Refuse(f"it resizes {shape} to {size}; height and width can be resized, to {MAX_SIDE} at most")
    return ((size[2], size[3]), (scale[2], scale[3])) if rank == 4 else ((1, size[2]), (1.0, scale[2]))


def _resized(b: Builder, c: OnnxCall, v: Value, size: Pair, scale: tuple[float, float], mode: str) -> Value:
    coordinates = c.attr("coordinate_transformation_mode", str, "half_pixel")
    if mode == "nearest":
        rounding = c.attr("nearest_mode", str, "round_prefer_floor")
        return layers_space.nearest(b, c.name, v, size, _sources(v, size, scale, coordinates, rounding))
    if mode != "linear":
        raise Refuse(f"its mode is {mode}; nearest and linear are supported")
    if c.attr("antialias", int, 0) and any(s < n for s, n in zip(size, v.shape[2:], strict=True)):
        raise Refuse("it smooths what it makes smaller (antialias); set it to 0")
    _check_scale(v, size, scale)
    if coordinates == "align_corners":
        return layers_space.bilinear(b, c.name, v, size, True, False)
    whole = all(s > 1 or n == 1 for s, n in zip(size, v.shape[2:], strict=True))
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and whole):
        return layers_space.bilinear(b, c.name, v, size, False, True)
    if coordinates == "asymmetric":
        return layers_space.bilinear(b, c.name, v, size, False, False)
    raise Refuse(f"its coordinate_transformation_mode is {coordinates}; half_pixel, align_corners and asymmetric are "
                 "supported")  # fmt: skip


def _check_scale(v: Value, size: Pair, scale: tuple[float, float]) -> None:
    """Raise Refuse where the scale is not the quotient of the sizes: coordinates would run away from TFLite's."""
    for n, s, f in zip(v.shape[2:], size, scale, strict=True):
        if abs(n * f - s) > EXACT:
            raise Refuse(f"its scale {f:g} makes {n * f:g} of {n}, which is cut to {s}; give sizes instead of scales")


def _sources(v: Value, size: Pair, scale: tuple[float, float], coordinates: str, rounding: str) -> list[Array]:
    """The input row of each output row, and the columns likewise."""
    return [_nearest(n, s, f, coordinates, rounding) for n, s, f in zip(v.shape[2:], size, scale, strict=True)]


def _nearest(n: int, size: int, scale: float, coordinates: str, rounding: str) -> Array:
    i = np.arange(size)
    at: Array
    if coordinates == "asymmetric":
        at = i / scale
    elif coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and size > 1):
        at = (i + 0.5) / scale - 0.5
    elif coordinates == "pytorch_half_pixel":
        at = np.zeros(1)
    elif coordinates == "align_corners":
        at = i * ((n - 1) / (n * scale - 1)) if size > 1 else np.zeros(1)
    else:
        raise Refuse(f"its coordinate_transformation_mode is {coordinates}")
    rounded = {
        "floor": np.floor(at),
        "ceil": np.ceil(at),
        "round_prefer_floor": np.ceil(at - 0.5),
        "round_prefer_ceil": np.floor(at + 0.5),
    }.get(rounding)
    if rounded is None:
        raise Refuse(f"its nearest_mode is {rounding}")
    return np.asarray(np.clip(rounded, 0, n - 1), np.int64)


def depth_to_space(b: Builder, c: OnnxCall) -> Result:
    mode = c.attr("mode", str, "DCR")
    if mode not in ("DCR", "CRD"):
        raise Refuse(f"its mode is {mode}; DCR and CRD are supported")
    return layers_space.depth_to_space(b, c.name, c.value(), c.attr("blocksize", int, 0), mode == "CRD")


def space_to_depth(b: Builder, c: OnnxCall) -> Result:
    mode = c.attr("mode", str, "DCR")
    if mode not in ("DCR", "CRD"):
        raise Refuse(f"its mode is {mode}; DCR and CRD are supported")
    return layers_space.space_to_depth(b, c.name, c.value(), c.attr("blocksize", int, 0), mode == "CRD")


HANDLERS: dict[str, Handler] = {
    "Resize": resize,
    "Upsample": upsample,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
