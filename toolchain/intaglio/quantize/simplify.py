"""The float graph as it is quantized: batch norms folded, activations fused, constants computed."""

from __future__ import annotations

from ..graph import Graph, verify
from ..lower.dead_code import dead_code
from ..lower.fold_batch_norm import fold_batch_norm
from ..lower.fold_float import fold_float
from ..lower.fuse_activation import fuse_activation
from ..lower.fuse_bias import fuse_bias
from ..lower.fuse_hard_swish import fuse_hard_swish
from ..lower.fuse_padding import fuse_padding
from ..lower.hybrid_weights import hybrid_weights
from ..lower.identities import remove_identities

PASSES = (
    hybrid_weights, remove_identities, fold_float, fold_batch_norm, fuse_bias, fuse_padding, fuse_activation,
    fuse_hard_swish,
)  # fmt: skip


def simplify(graph: Graph) -> Graph:
    """Apply the passes for float graphs in order. Doing it twice changes nothing, so that calibration and
    quantization, which both do it, name the same tensors."""
    graph = verify(dead_code(graph), "float")
    for pass_ in PASSES:
        # A node that nothing reads any more would count as a reader in the next pass.
        passed = dead_code(pass_(graph))
        graph = graph if _same(graph, passed) else verify(passed, "float")
    return graph


def _same(a: Graph, b: Graph) -> bool:
    """Whether a pass has left every node and tensor alone: what has been verified then need not be again."""
    tensors = a.tensors.keys() == b.tensors.keys() and all(t is b.tensors[n] for n, t in a.tensors.items())
    nodes = len(a.nodes) == len(b.nodes) and all(m is n for m, n in zip(a.nodes, b.nodes, strict=True))
    return tensors and nodes and (a.inputs, a.outputs) == (b.inputs, b.outputs)
