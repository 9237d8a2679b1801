"""Float nodes whose inputs are all constant are computed once, by the operators' own `forward`; so is DEQUANTIZE."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..graph import Graph, Node
from ..ops.base import Op


def fold_float(graph: Graph) -> Graph:
    """The float counterpart of fold_constants. Needs PyTorch only where there is something to fold.

    Graph outputs are left to be computed.
    """
    tensors = dict(graph.tensors)
    kept: list[Node] = []
    for node in graph.nodes:
        ins = [tensors[n] for n in node.inputs if n]
        if node.op.name == "dequantize" and ins[0].is_const and node.outputs[0] not in graph.outputs:
            [data] = node.op.reference([ins[0].data], ins, [tensors[node.outputs[0]]])
            data.setflags(write=False)
            tensors[node.outputs[0]] = replace(tensors[node.outputs[0]], data=data)
            continue
        constant = bool(ins) and all(t.is_const and t.dtype == "float32" for t in ins)
        if not constant or set(node.outputs) & set(graph.outputs) or type(node.op).forward is Op.forward:
            kept.append(node)
            continue
        from ..train.float_run import torch_module

        torch = torch_module()
        with torch.no_grad():
            found = node.op.forward(*(torch.tensor(tensors[n].data) if n else None for n in node.inputs))
        for name, value in zip(node.outputs, found if isinstance(found, tuple | list) else (found,), strict=True):
            data = np.ascontiguousarray(value.numpy()).astype(np.float32).reshape(tensors[name].shape)
            data.setflags(write=False)
            tensors[name] = replace(tensors[name], data=data)
    return graph.with_nodes(kept, tensors)
