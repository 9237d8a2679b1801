"""Training: a Graph as a PyTorch module, in floats or in the integers of the device, and back.

Importing this imports no PyTorch; the functions do, and raise ToolError where it is not installed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..errors import DataError
from ..graph import Graph

__all__ = ["quantization_aware", "to_graph", "to_module"]


def to_module(graph: Graph) -> Any:
    """A float Graph as an nn.Module whose named parameters are its weights; see `module.GraphModule`.

    Raises: UnsupportedError listing what cannot be trained (integers, state, operators without a float meaning).
    """
    from ..floats.run import torch_module

    torch_module()
    from .module import GraphModule

    if not isinstance(graph, Graph):
        raise DataError("graph", f"is {type(graph).__name__}", "a Graph", "intaglio.load reads files")
    return GraphModule(graph)


def to_graph(module: Any) -> Graph:
    """The Graph of a module from `to_module` or `quantization_aware`, with its current values: a float one of the
    first, a quantized one that compiles of the second.

    Raises: DataError for another module.
    """
    from ..floats.run import torch_module

    torch_module()
    from .module import GraphModule

    if not isinstance(module, GraphModule):
        found = f"is {type(module).__name__}"
        raise DataError("module", found, "one that to_module made", "Other modules become graphs with from_torch")
    return module.to_graph()


def quantization_aware(
    model: Any, calibration: Any, *, weight_bits: int | Mapping[str, int] = 8, keep_float: Collection[str] = ()
) -> Any:
    """A float model as an nn.Module that computes in the integers of the device and trains through them.

    Args:
        model: a float Graph, or a module of `to_module`. Batch norms are folded, so train with them before.
        calibration: representative inputs, in any form that `quantize.calibrate` takes; or the ranges that it gave.
        weight_bits: 8, 4 or 2 for all layers with weights, or by name or pattern; see `quantize`.
        keep_float: layers, or patterns of their names, that stay in float32.

    Returns: a `quantized.QuantizedModule`. `to_graph` of it is the quantized Graph that compiles; in eval(), its
        outputs are the real values of the bytes which the C gives, and `integers` gives the bytes.
    Raises: DataError for data that does not fit, an unknown layer, a missing range, a module with parametrizations;
        UnsupportedError for what integers cannot do.
    """
    from ..floats.run import torch_module

    torch_module()
    from .module import GraphModule
    from .quantized import prepared

    if not isinstance(model, Graph | GraphModule):
        found = f"is {type(model).__name__}"
        remedy = "Other modules become graphs with from_torch"
        raise DataError("model", found, "a Graph or a module of to_module", remedy)
    return prepared(model, calibration, keep_float, weight_bits)
