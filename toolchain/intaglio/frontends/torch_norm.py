"""Normalizations of ATen, and what resizes images or deals out pixels."""

from __future__ import annotations

import numpy as np

from ..graph import Array
from ..ops.base import Refuse
from . import layers, layers_norm, layers_space
from .layers import image
from .layout import Builder, Const, Value
from .torch_aten import AtenCall, Handler, Result

EXACT = 1e-4
"""A scale factor is the quotient of the sizes when it gives the size to within this many pixels."""


def _optional(c: AtenCall, key: str) -> Const | None:
    return None if c.args.get(key) is None else c.const(key)


def batch_norm(b: Builder, c: AtenCall) -> Result:
    if c.args.get("training"):
        raise Refuse("it normalizes by the batch's own statistics; train with track_running_stats=True")
    vectors = (c.args["weight"], c.args["bias"], c.const("running_mean"), c.const("running_var"))
    return layers.batch_norm(b, c.name, c.value("input"), vectors, float(c.args["eps"]))


def layer_norm(b: Builder, c: AtenCall) -> Result:
    dims, eps = len(c.args["normalized_shape"]), float(c.args["eps"])
    return layers_norm.layer_norm(b, c.name, c.value("input"), dims, _optional(c, "weight"), _optional(c, "bias"), eps)


def group_norm(b: Builder, c: AtenCall) -> Result:
    groups = int(c.args["num_groups"] if "num_groups" in c.args else c.args["group"])
    weight, bias, eps = _optional(c, "weight"), _optional(c, "bias"), float(c.args["eps"])
    return layers_norm.group_norm(b, c.name, c.value("input"), groups, weight, bias, eps)


def instance_norm(b: Builder, c: AtenCall) -> Result:
    """By each image's own statistics, or by those of training."""
    if not c.args["use_input_stats"]:
        return batch_norm(b, c)
    weight, bias = _optional(c, "weight"), _optional(c, "bias")
    return layers_norm.instance_norm(b, c.name, c.value("input"), weight, bias, float(c.args["eps"]))


# ---- resizing ----------------------------------------------------------------------------------------------------


def _maps(b: Builder, c: AtenCall) -> Value:
    """(n, c, h, w), or (n, c, length) as maps of height 1."""
    v = c.value("input" if "input" in c.args else "self")
    return image(b, b.reshape(v, (*v.shape[:2], 1, v.shape[2])) if len(v.shape) == 3 else v)


def _scales(c: AtenCall, v: Value) -> tuple[float, float]:
    """Output pixels for each input pixel: as given, else the quotient of the sizes."""
    size = (1, *c.shape[2:])[-2:]
    found = [s / n for s, n in zip(size, v.shape[2:], strict=True)]
    given = c.args.get("scale_factors") or [c.args.get(k) for k in ("scales_h", "scales_w", "scales") if c.args.get(k)]
    for k, factor in enumerate(reversed(given)):
        if factor is not None:
            found[1 - k] = float(factor)
    return found[0], found[1]


def upsample_nearest(exact: bool) -> Handler:
    """Input pixel floor(i / scale); of nearest-exact floor((i + 0.5) / scale)."""

    def run(b: Builder, c: AtenCall) -> Result:
        v = _maps(b, c)
        size = (1, *c.shape[2:])[-2:]
        sources: list[Array] = [
            np.minimum(np.floor((np.arange(s) + (0.5 if exact else 0.0)) / f), n - 1).astype(np.int64)
            for n, s, f in zip(v.shape[2:], size, _scales(c, v), strict=True)
        ]
        return b.reshape(layers_space.nearest(b, c.name, v, (size[0], size[1]), sources), c.shape)

    return run


def upsample_linear(b: Builder, c: AtenCall) -> Result:
    v = _maps(b, c)
    size = (1, *c.shape[2:])[-2:]
    align = bool(c.args["align_corners"])
    for n, s, f in zip(v.shape[2:], size, _scales(c, v), strict=True):
        if not align and abs(n * f - s) > EXACT:
            raise Refuse(f"its scale factor {f:g} makes {n * f:g} of {n}, which is cut to {s}; give the size instead")
    return b.reshape(layers_space.bilinear(b, c.name, v, (size[0], size[1]), align, not align), c.shape)


def pixel_shuffle(b: Builder, c: AtenCall) -> Result:
    return layers_space.depth_to_space(b, c.name, c.value("self"), int(c.args["upscale_factor"]), True)


def pixel_unshuffle(b: Builder, c: AtenCall) -> Result:
    return layers_space.space_to_depth(b, c.name, c.value("self"), int(c.args["downscale_factor"]), True)


def channel_shuffle(b: Builder, c: AtenCall) -> Result:
    v, groups = c.value("self"), int(c.args["groups"])
    n, channels, *rest = v.shape
    dims = (0, 2, 1, *range(3, 3 + len(rest)))
    return b.reshape(b.permute(b.reshape(v, (n, groups, channels // groups, *rest)), dims), v.shape)


HANDLERS: dict[str, Handler] = {
    "batch_norm": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm,
    "layer_norm": layer_norm,
    "native_layer_norm": layer_norm,
    "group_norm": group_norm,
    "native_group_norm": group_norm,
    "instance_norm": instance_norm,
    "upsample_nearest1d": upsample_nearest(False),
    "upsample_nearest2d": upsample_nearest(False),
    "_upsample_nearest_exact1d": upsample_nearest(True),
    "_upsample_nearest_exact2d": upsample_nearest(True),
    "upsample_linear1d": upsample_linear,
    "upsample_bilinear2d": upsample_linear,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
}
