"""What the PyTorch and the ONNX front end make of operators that resize images, or deal pixels out; see layers.py."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from ..graph import Array
from ..ops.base import Op, Refuse
from ..ops.concatenation import Concatenation
from ..ops.depth_to_space import DepthToSpace
from ..ops.resize_bilinear import ResizeBilinear
from ..ops.resize_nearest_neighbor import ResizeNearestNeighbor
from ..ops.space_to_depth import SpaceToDepth
from ..ops.window import MAX_SIDE, Pair
from .layers import cut, image
from .layout import NHWC, Builder, Value

MAX_COPIES = 64
"""Copies of a value, or slices of it, that are put one behind the other."""


def resized(b: Builder, name: str, v: Value, op: Op) -> Value:
    [out] = b.node(name, op, [image(b, v).name])
    return b.value(out, NHWC)


def nearest(b: Builder, name: str, v: Value, size: Pair, sources: Sequence[Array]) -> Value:
    """Rows and columns picked by `sources` (the input index of each output index), as TFLite's rule that gives them."""
    if any(not 1 <= s <= MAX_SIDE for s in size):
        raise Refuse(f"it resizes to {size}; sides of 1 to {MAX_SIDE} are supported")
    for align, half in ((False, False), (False, True), (True, False)):
        op = ResizeNearestNeighbor(size, align, half)
        found = op.sources(image(b, v).stored)
        if all(np.array_equal(f, s) for f, s in zip(found, sources, strict=True)):
            return resized(b, name, v, op)
    raise Refuse(f"it resizes {v.shape[2:]} to {size} and rounds as TFLite never does; use asymmetric with floor")


def bilinear(b: Builder, name: str, v: Value, size: Pair, align_corners: bool, half_pixel: bool) -> Value:
    if any(not 1 <= s <= MAX_SIDE for s in size):
        raise Refuse(f"it resizes to {size}; sides of 1 to {MAX_SIDE} are supported")
    return resized(b, name, v, ResizeBilinear(size, align_corners, half_pixel))


def depth_to_space(b: Builder, name: str, v: Value, block: int, channel_first: bool) -> Value:
    """Channels become blocks of pixels. A channel's number is (block row, block column, channel) in TFLite, and
    (channel, block row, block column) where `channel_first`, as in PyTorch's PixelShuffle."""
    v = image(b, v)
    n, c, h, w = v.shape
    if not 1 <= block <= MAX_SIDE or c % (block * block):
        raise Refuse(f"{c} channels do not divide into blocks of {block} x {block}")
    if not channel_first:
        return resized(b, name, v, DepthToSpace(block))
    split = b.permute(b.reshape(v, (n, c // block**2, block, block, h, w)), (0, 1, 4, 2, 5, 3))
    return b.reshape(b.arrange(split, (0, 2, 3, 4, 5, 1)), (n, c // block**2, h * block, w * block))


def space_to_depth(b: Builder, name: str, v: Value, block: int, channel_first: bool) -> Value:
    """The inverse of `depth_to_space`."""
    v = image(b, v)
    n, c, h, w = v.shape
    if not 1 <= block <= MAX_SIDE or h % block or w % block:
        raise Refuse(f"its input {v.shape} does not divide into blocks of {block} x {block}")
    if not channel_first:
        return resized(b, name, v, SpaceToDepth(block))
    split = b.permute(b.reshape(v, (n, c, h // block, block, w // block, block)), (0, 1, 3, 5, 2, 4))
    return b.reshape(b.arrange(split, (0, 4, 5, 1, 2, 3)), (n, c * block**2, h // block, w // block))


def repeated(b: Builder, name: str, v: Value, counts: Sequence[int]) -> Value:
    """Copies of the value side by side, `counts[d]` along dimension d."""
    if counts and counts[0] != 1:
        raise Refuse("it repeats the batch")
    v = b.settle(v)
    for dim, count in enumerate(counts):
        if not 1 <= count <= MAX_COPIES:
            raise Refuse(f"it repeats dimension {dim} of {v.shape} {count} times; up to {MAX_COPIES} are supported")
        if count > 1:
            [out] = b.node(f"{name}_{dim}", Concatenation(v.perm.index(dim)), [v.name] * count)
            v = b.value(out, v.perm)
    return v


def picked(b: Builder, name: str, v: Value, dim: int, at: Sequence[int]) -> Value:
    """The elements `at` along `dim`: slices in equal steps, one behind the other."""
    runs: list[list[int]] = []
    for i in at:
        run = runs[-1] if runs else []
        if run and (len(run) == 1 or i - run[-1] == run[1] - run[0]) and i != run[-1]:
            run.append(i)
        else:
            runs.append([i])
    if not runs or len(runs) > MAX_COPIES:
        raise Refuse(f"it picks elements in {len(runs)} runs; 1 to {MAX_COPIES} are supported")
    v = b.settle(v)
    steps = [next((q - p for p, q in itertools.pairwise(run)), 1) for run in runs]
    names = [name] if len(runs) == 1 else [f"{name}_{k}" for k in range(len(runs))]
    parts = [cut(b, n, v, dim, run[0], len(run), s) for n, run, s in zip(names, runs, steps, strict=True)]
    if len(parts) == 1:
        return parts[0]
    [out] = b.node(name, Concatenation(v.perm.index(dim)), [p.name for p in parts])
    return b.value(out, v.perm)
