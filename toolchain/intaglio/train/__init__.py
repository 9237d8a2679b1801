"""Training: a Graph as a PyTorch module, in floats or in the integers of the device, and back.

Importing this imports no PyTorch; the functions do, and raise ToolError where it is not installed.
"""

from __future__ import annotations

from typing import Any

from ..errors import DataError
from ..graph import Graph

__all__ = ["to_graph", "to_module"]


def to_module(graph: Graph) -> Any:
    """A float Graph as an nn.Module whose named parameters are its weights; see `module.GraphModule`.

    Raises: UnsupportedError listing what cannot be trained (integers, state, operators without a float meaning).
    """
    from .float_run import torch_module

    torch_module()
    from .module import GraphModule

    return GraphModule(graph)


def to_graph(module: Any) -> Graph:
    """The Graph of a module from `to_module` or `quantization_aware`, with its current values: a float one of the
    first, a quantized one that compiles of the second.

    Raises: DataError for another module.
    """
    from .float_run import torch_module

    torch_module()
    from .module import GraphModule

    if not isinstance(module, GraphModule):
        found = f"is {type(module).__name__}"
        raise DataError("module", found, "one that to_module made", "Other modules become graphs with from_torch")
    return module.to_graph()
