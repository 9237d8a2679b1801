"""The float graph as it is quantized: batch norms folded, activations fused, constants computed."""

from __future__ import annotations

from ..dead_code import dead_code
from ..graph import Graph, same_parts, verify
from .fold_batch_norm import fold_batch_norm
from .fold_float import fold_float
from .fuse_activation import fuse_activation
from .fuse_bias import fuse_bias
from .fuse_hard_swish import fuse_hard_swish
from .fuse_padding import fuse_padding
from .hybrid_weights import hybrid_weights
from .identities import remove_identities

PASSES = (
    hybrid_weights, remove_identities, fold_float, fold_batch_norm, fuse_bias, fuse_padding, fuse_activation,
    fuse_hard_swish,
)  # fmt: skip


def simplify(graph: Graph) -> Graph:
    """Apply the passes for float graphs in order, again and again until none finds anything: what one leaves behind may
    be work for an earlier one. (A RELU fused across a RESHAPE leaves two RESHAPEs in a row.)

    So doing it twice changes nothing, and calibration and quantization, which both do it, name the same tensors. It
    comes to an end: each change removes a node, or lets one read what is computed earlier.
    """
    before = None
    while before is None or not same_parts(graph, before):
        before = graph
        graph = _passed(graph, dead_code(graph))
        for pass_ in PASSES:
            # A node that nothing reads any more would count as a reader in the next pass.
            graph = _passed(graph, dead_code(pass_(graph)))
    return graph


def _passed(before: Graph, after: Graph) -> Graph:
    """The graph after a pass, verified. One that a pass has left alone was verified before."""
    return before if same_parts(before, after) else verify(after, "float")
