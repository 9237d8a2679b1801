"""What a kernel is: C code that computes some nodes on some cores, and the way in which it wants their weights held.

One module a kernel, named like its C file: kernels/dsp/fully_connected_dsp.py for
runtime_c/kernels/dsp/fully_connected_dsp.c. A class of that module is found by itself (kernels/__init__.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from ..ops.base import Call
from ..sources import PORTABLE
from ..targets import Target

if TYPE_CHECKING:
    from ..graph import Graph, Node


@dataclass(frozen=True)
class Kernel:
    """Base of all kernels. A kernel makes the Call of a node: packed weights, scratch, parameters, and on which inputs
    its output may lie. Its outputs are those of the portable kernel, byte for byte."""

    folder: ClassVar[str] = PORTABLE
    """Of runtime_c/kernels. A core uses the folders that its target.toml names."""
    costs: ClassVar[Mapping[str, Mapping[str, float]]] = {}
    """By the stem of the C file, `code`, its bytes, and the instructions of each kind of work (kernels/costs.py): for
    kernels that a target's weights.json does not have."""

    def fits(self, node: Node, graph: Graph, target: Target) -> bool:
        """Whether it computes this node, with its weights held as the graph says (`Tensor.encoding`)."""
        raise NotImplementedError

    def calls(self, node: Node, graph: Graph, target: Target) -> tuple[Call, ...]:
        """The C calls of a node that it fits, in order."""
        raise NotImplementedError
