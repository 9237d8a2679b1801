"""SPACE_TO_BATCH_ND, a convolution, BATCH_TO_SPACE_ND: how TensorFlow spells a dilated convolution, read as one.

Each of the block's interleaved grids becomes a sample of a batch, is convolved, and goes back to its place: so a step
of one in the batch is a step of `block` in the image. TFLite's converter sees through it only where the batch is fixed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import GraphError
from ..graph import Graph, Node, Tensor, fresh
from ..ops.base import Ins, Op, Outs, Refuse, Types, need
from ..ops.conv2d import Conv2D
from ..ops.depthwise_conv2d import DepthwiseConv2D
from ..ops.movement import alike, tensor_input
from ..ops.reshape import Reshape
from ..ops.unsupported import Unsupported

if TYPE_CHECKING:
    from ..ops.tflite_node import TfliteNode

STAYS = "it stays: only around a convolution with stride 1 is it read, as a dilated convolution"
MAX_BLOCK = 1 << 16
Sides = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _Batches(Op):
    """Lives only while a file is read. Dimension 1 + k has `block[k]`, and `sides[k]` padded to it or cropped."""

    block: tuple[int, ...] = ()
    sides: Sides = ()

    @classmethod
    def from_tflite(cls, n: TfliteNode) -> tuple[Op, tuple[int, ...]]:
        x, block, flat = tensor_input(n, 0), n.ints(1), n.ints(2)
        if not 1 <= len(block) < len(x.shape) or len(flat) != 2 * len(block):
            raise Refuse(f"its block is {block[:4]} and its sides {flat[:8]} for the shape {x.shape}")
        if any(not 1 <= b <= MAX_BLOCK for b in block) or any(not 0 <= s <= MAX_BLOCK for s in flat):
            raise Refuse(f"its block is {block} and its sides {flat}: blocks of at least 1, nothing below 0")
        return cls(block, tuple(zip(flat[::2], flat[1::2], strict=True))), (0,)


@dataclass(frozen=True)
class SpaceToBatch(_Batches):
    def infer(self, ins: Ins, outs: Outs) -> Types:
        x, n = need(ins[0]), len(self.block)
        padded = [d + before + after for d, (before, after) in zip(x.shape[1 : 1 + n], self.sides, strict=True)]
        if any(p % b for p, b in zip(padded, self.block, strict=True)):
            raise GraphError(x.name, f"{padded} do not divide by the block {self.block}")
        grid = (p // b for p, b in zip(padded, self.block, strict=True))
        return [((x.shape[0] * math.prod(self.block), *grid, *x.shape[1 + n :]), x.dtype)]


@dataclass(frozen=True)
class BatchToSpace(_Batches):
    def infer(self, ins: Ins, outs: Outs) -> Types:
        x, n = need(ins[0]), len(self.block)
        whole = [d * b - sum(s) for d, b, s in zip(x.shape[1 : 1 + n], self.block, self.sides, strict=True)]
        if x.shape[0] % math.prod(self.block) or any(d < 1 for d in whole):
            raise GraphError(x.name, f"{x.shape} cannot go into blocks of {self.block} less {self.sides}")
        return [((x.shape[0] // math.prod(self.block), *whole, *x.shape[1 + n :]), x.dtype)]


READS: dict[str, type[_Batches]] = {"SPACE_TO_BATCH_ND": SpaceToBatch, "BATCH_TO_SPACE_ND": BatchToSpace}


def fuse_dilated(graph: Graph) -> Graph:
    """Each chain becomes its convolution with a dilation, between RESHAPEs where it is one over a line (Conv1D).
    What is not such a chain becomes unsupported."""
    if not any(isinstance(n.op, _Batches) for n in graph.nodes):
        return graph
    readers: dict[str, list[int]] = {}
    for i, node in enumerate(graph.nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(i)
    for name in graph.outputs:
        readers.setdefault(name, []).append(-1)
    tensors = dict(graph.tensors)
    made: dict[int, list[Node]] = {}
    for i, node in enumerate(graph.nodes):
        if isinstance(node.op, SpaceToBatch):
            chain = _chain(graph, i, readers)
            nodes = _dilated(graph, [graph.nodes[k] for k in chain], tensors) if chain else None
            if nodes is not None:
                made |= {k: [] for k in chain} | {chain[-1]: nodes}
    found: list[Node] = []
    for i, node in enumerate(graph.nodes):
        if i in made:
            found += made[i]
        elif isinstance(node.op, _Batches):
            builtin = next(k for k, cls in READS.items() if isinstance(node.op, cls))
            found.append(replace(node, op=Unsupported(builtin, STAYS)))
        else:
            found.append(node)
    return graph.with_nodes(found, tensors)


def _chain(graph: Graph, first: int, readers: dict[str, list[int]]) -> list[int]:
    """The numbers of the nodes from a SpaceToBatch to its BatchToSpace; nothing where others come between.

    `readers` has the nodes that read a tensor, -1 for the graph's outputs."""
    chain = [first]
    convolved = False
    while True:
        [name] = graph.nodes[chain[-1]].outputs
        at = readers[name][0] if len(readers.get(name, ())) == 1 else -1
        if at < 0:
            return []
        op = graph.nodes[at].op
        chain.append(at)
        if isinstance(op, BatchToSpace):
            return chain if convolved else []
        if isinstance(op, Conv2D | DepthwiseConv2D) and not convolved and graph.nodes[at].inputs[0] == name:
            convolved = True
        elif not isinstance(op, Reshape):
            return []


def _dilated(graph: Graph, chain: Sequence[Node], tensors: dict[str, Tensor]) -> list[Node] | None:
    """The nodes that stand for a chain, with new tensors among `tensors`; None where it is no dilated convolution."""
    start, end = chain[0].op, chain[-1].op
    [conv] = [n for n in chain if isinstance(n.op, Conv2D | DepthwiseConv2D)]
    assert isinstance(start, SpaceToBatch) and isinstance(end, BatchToSpace)
    assert isinstance(conv.op, Conv2D | DepthwiseConv2D)
    x, y = graph.tensors[chain[0].inputs[0]], graph.tensors[chain[-1].outputs[0]]
    inside, outside = graph.tensors[conv.inputs[0]], graph.tensors[conv.outputs[0]]
    across = _across(graph.tensors[chain[0].outputs[0]].shape, inside.shape, len(start.block))
    if across is None or _across(graph.tensors[chain[-1].inputs[0]].shape, outside.shape, len(end.block)) != across:
        return None
    if start.block != end.block or x.shape[0] != 1 or conv.op.stride != (1, 1) or conv.op.dilation != (1, 1):
        return None
    if not (alike(x, inside) and alike(outside, y)):
        return None
    dilation, pads = [1, 1], list(conv.op.pads)
    for k, dim in enumerate(across):
        block, (before, after), (off, off_after) = start.block[k], start.sides[k], end.sides[k]
        dilation[dim] = block
        pads[2 * dim] = before + pads[2 * dim] * block - off
        pads[2 * dim + 1] = after + pads[2 * dim + 1] * block - off_after
    if min(pads) < 0:
        return None
    op = replace(conv.op, dilation=(dilation[0], dilation[1]), pads=(pads[0], pads[1], pads[2], pads[3]))
    spread = _spread(x.shape, across)
    nodes: list[Node] = []
    source, target = x.name, y.name
    if spread != x.shape:
        source = _new(f"{conv.name}:in", replace(x, shape=spread), tensors)
        nodes.append(Node(source, Reshape(spread), (x.name,), (source,)))
    flat = _spread(y.shape, across)
    if flat != y.shape:
        target = _new(f"{conv.name}:out", replace(y, shape=flat), tensors)
    nodes.append(Node(conv.name, op, (source, *conv.inputs[1:]), (target,)))
    if target != y.name:
        nodes.append(Node(y.name, Reshape(y.shape), (target,), (y.name,)))
    return nodes


def _across(batched: Sequence[int], image: Sequence[int], dims: int) -> tuple[int, ...] | None:
    """Which of height (0) and width (1) of the convolution's `image` the block's dimensions are."""
    if len(image) != 4:
        return None
    if tuple(batched) == tuple(image):
        return tuple(range(dims)) if dims <= 2 else None
    if len(batched) == 3 and dims == 1:
        n, length, channels = batched
        if tuple(image) == (n, 1, length, channels):
            return (1,)
        return (0,) if tuple(image) == (n, length, 1, channels) else None
    return None


def _spread(shape: tuple[int, ...], across: tuple[int, ...]) -> tuple[int, ...]:
    """An image's shape for the convolution: that of a line with a height or a width of 1 beside it."""
    if len(shape) == 4:
        return shape
    return (shape[0], 1, *shape[1:]) if across == (1,) else (*shape[:2], 1, shape[2])


def _new(name: str, like: Tensor, tensors: dict[str, Tensor]) -> str:
    name = fresh(name, tensors)
    tensors[name] = replace(like, name=name)
    return name
