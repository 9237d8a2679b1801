"""Random cases of every operator that cases/ has: in int8, the same in int16 and in float32."""

from __future__ import annotations

import zlib
from dataclasses import replace

import cases as operators
import harness
import numpy as np

from intaglio.graph import Quant, Tensor, constant, verify
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.float32 import LARGEST
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.pad import Pad
from intaglio.ops.transpose_conv import TransposeConv

FINER = 256
"""int16 scales are so much finer than those of the 8-bit cases; biases are as much larger."""
_WEIGHTED = (Conv2D, DepthwiseConv2D, FullyConnected, TransposeConv)


def random_of(name, *seed):
    """Random numbers of an operator's own: a new operator changes no other's cases."""
    return np.random.default_rng([*seed, zlib.crc32(name.encode())])


def in_floats(graph):
    """The same graph on the real numbers that its integers stand for."""
    tensors = {}
    for name, t in graph.tensors.items():
        if t.data is None:
            tensors[name] = Tensor(name, t.shape, "float32")
            continue
        along = [-1 if d == (t.quant.axis if t.quant else None) else 1 for d in range(len(t.shape))]
        scale = np.array(t.quant.scale).reshape(along) if t.quant and len(t.quant.scale) > 1 else (
            t.quant.scale[0] if t.quant else 0.01 if t.dtype != "float32" else 1.0)  # fmt: skip
        zero = t.quant.zero_point[0] if t.quant else 0
        tensors[name] = constant(name, (scale * (t.data.astype(float) - zero)).astype(np.float32))
    # Integers take -inf for their lowest; no float kernel does.
    nodes = [replace(n, op=replace(n.op, value=min(max(n.op.value, -LARGEST), LARGEST)))
             if isinstance(n.op, Pad) else n for n in graph.nodes]  # fmt: skip
    return verify(replace(graph, tensors=tensors, nodes=tuple(nodes)), "float")


def widened(graph, rng):
    """A case of int8 with int16 activations and an int64 bias: the same numbers, 256 times finer."""
    node = graph.nodes[0]
    weights, bias = (node.inputs[1:2], node.inputs[2:]) if isinstance(node.op, _WEIGHTED) else ((), ())
    tensors = {}
    for name, t in graph.tensors.items():
        if name in weights or (t.dtype != "int8" and name not in bias):
            tensors[name] = t
            continue
        scale = tuple(float(np.float32(s / FINER)) for s in t.quant.scale)
        quant = Quant(scale, (0,) * len(scale), t.quant.axis)
        if name in bias:
            finer = t.data.astype(np.int64) * FINER + rng.integers(0, FINER, t.shape)
            tensors[name] = constant(name, finer, quant)
        elif t.is_const:
            tensors[name] = constant(name, rng.integers(-32768, 32768, t.shape).astype(np.int16), quant)
        else:
            tensors[name] = replace(t, dtype="int16", quant=quant)
    return replace(graph, tensors=tensors)


def as_dtype(graph, dtype, rng):
    """A case in another dtype."""
    return {"int8": lambda: graph, "int16": lambda: widened(graph, rng), "float32": lambda: in_floats(graph)}[dtype]()


def cases(each=1, seed=3):
    """(operator, dtype, graph): `each` random cases of every operator in every dtype that it has."""
    for found in operators.every():
        for i in range(each):
            rng = random_of(found.name, seed, i)
            graph = replace(found.make(rng), name=f"{found.name}_{i}")
            for dtype in found.dtypes:
                yield found.name, dtype, as_dtype(graph, dtype, rng)


def deep_cases(each=1, seed=4):
    """(operator, dtype, graph) like `cases`, on five and six dimensions or along many axes."""
    for found in operators.every():
        for i in range(each if found.deep else 0):
            graph = replace(found.deep(random_of(found.name, seed, i)), name=f"{found.name}_deep_{i}")
            for dtype in found.dtypes:
                if dtype != "int16":
                    yield found.name, dtype, as_dtype(graph, dtype, None)


def feeds(graph, rng, random=2):
    """harness.inputs_for, floats moved to where the operator is defined."""
    rows = harness.inputs_for(graph, rng, random)
    if graph.tensors[graph.inputs[0]].dtype != "float32":
        return rows
    domain = operators.by_module()[graph.nodes[0].op.name][0].domain
    return [[domain(x) for x in row] for row in rows]
