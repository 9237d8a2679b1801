"""Float nodes whose inputs are all constant are computed once, by the operators' own rules; so is DEQUANTIZE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..graph import Array, Graph, Node, Tensor


def fold_float(graph: Graph) -> Graph:
    """The float counterpart of fold_constants. Needs PyTorch only to fold an operator without a NumPy reference.

    Graph outputs are left to be computed.
    """
    tensors = dict(graph.tensors)
    kept: list[Node] = []
    for node in graph.nodes:
        ins = [tensors[n] for n in node.inputs if n]
        constant = bool(ins) and all(t.is_const and t.dtype == "float32" for t in ins)
        constant = constant or (node.op.requantizes and graph.outs(node)[0].dtype == "float32" and ins[0].is_const)
        values = _computed(node, tensors) if constant and not set(node.outputs) & set(graph.outputs) else None
        if values is None:
            kept.append(node)
            continue
        for name, value in zip(node.outputs, values, strict=True):
            data = np.array(value, np.float32, order="C").reshape(tensors[name].shape)
            data.setflags(write=False)
            tensors[name] = replace(tensors[name], data=data)
    return graph.with_nodes(kept, tensors)


def _computed(node: Node, tensors: Mapping[str, Tensor]) -> list[Array] | None:
    """The outputs of a node of constants; None where the operator has neither a reference nor a forward."""
    ins = [tensors[n] if n else None for n in node.inputs]
    if node.op.has_reference:
        outs = [tensors[n] for n in node.outputs]
        with np.errstate(all="ignore"):  # constants that overflow are refused later, by name
            return node.op.reference([None if t is None else t.data for t in ins], ins, outs)
    if not node.op.has_forward:
        return None
    from .run import torch_module

    torch = torch_module()
    with torch.no_grad():
        found = node.op.forward(*(None if t is None else torch.tensor(t.data) for t in ins))
    return [f.numpy() for f in (found if isinstance(found, tuple | list) else (found,))]
