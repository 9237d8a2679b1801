"""How flash holds weights: one module an encoding, found by looking in this folder.

The int8 array in the Graph stays what the weights are; an encoding is another way to store it, of which the kernel
OP_ENCODING (conv2d_huffman) makes the same integers again while it computes (kernels/encoded.py). So outputs cannot
change.

A module has `encode(weights)`: int8 [rows][columns] -> Encoded, or None for weights that it cannot hold. A row is what
makes one output channel. An operator without a kernel of that name stays as it is.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

from ...graph import Array, Graph, Node, Tensor
from ...ops.base import Const


@dataclass(frozen=True, eq=False)
class Encoded:
    """Weights as flash holds them.

    Attributes:
        arrays: in the order of the kernel's parameters.
        ram_bytes: scratch of the decoder, a multiple of 4, which writes the last of them.
        skips: whether zeros take no multiplication: a kernel that decodes rows for many positions then makes a list of
            a row's nonzeros (conv2d_nonzeros.h).
    """

    arrays: tuple[Const, ...]
    ram_bytes: int = 0
    skips: bool = False

    @property
    def nbytes(self) -> int:
        """Bytes of flash: all there is but the kernel's code."""
        return sum(a.data.nbytes for a in self.arrays)


@cache
def names() -> tuple[str, ...]:
    """Every encoding, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def encode(name: str, weights: Array) -> Encoded | None:
    """int8 [rows][columns] in the encoding of that name (one of `names`), None where it cannot hold them."""
    return _encode(name, (weights.shape[0], weights.shape[1]), weights.tobytes())


@lru_cache(maxsize=256)
def _encode(name: str, shape: tuple[int, int], data: bytes) -> Encoded | None:
    """Cached: an encoding is made to be compared, and again when it is chosen."""
    module = importlib.import_module(f"{__name__}.{name}")
    found: Encoded | None = module.encode(np.frombuffer(data, np.int8).reshape(shape))
    return found


def encoding_of(weights: Tensor) -> str:
    """The encoding of a constant; "" when it lies in flash as it is."""
    bits = 8 if weights.quant is None else weights.quant.bits
    return weights.encoding or ("" if bits == 8 else f"s{bits}")


def stored_encoding(node: Node, graph: Graph) -> str:
    """The encoding of a node's weights: "" where they lie in flash as they are, and for a node without weights."""
    weights = graph.ins(node)[1] if node.op.weighted else None
    return "" if weights is None or weights.dtype != "int8" else encoding_of(weights)


def matrix(weights: Array) -> Array:
    """Weights of an operator, the output channel first, as [rows][columns]."""
    return weights.reshape(len(weights), -1)


def stored(suffix: str, data: Array, comment: str) -> Const:
    """An array that stands for weights; without elements it gets one, for C has no empty arrays."""
    return Const(suffix, data if data.size else np.zeros(1, data.dtype), comment, weights=True)
