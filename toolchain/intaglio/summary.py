"""What a model is made of: the content of `intaglio inspect`, unsupported operators included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .dead_code import dead_code
from .errors import GraphError
from .floats.fuse_padding import fuse_padding
from .graph import Graph, Node, Tensor, float_model, layer_name, verify


@dataclass(frozen=True)
class TensorSummary:
    """A tensor that goes in or out, or is kept between inferences."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    """real = scale * (q - zero_point); None without per-tensor quantization."""
    zero_point: int | None


@dataclass(frozen=True)
class LayerSummary:
    """One operator."""

    name: str
    op: str
    inputs: tuple[tuple[int, ...], ...]
    """Shapes of the inputs that are not constant."""
    outputs: tuple[tuple[int, ...], ...]
    dtype: str
    """Of the first output, else of the first input."""
    macs: int
    parameters: int
    """Elements of its constants, each counted at the first layer that uses it."""
    parameter_bytes: int
    """As they are stored in flash: weights of 4 and 2 bits packed."""
    quantization: str
    """Scale and zero point of the first output; empty when it is not quantized."""
    weights: str
    """What has a scale of its own among the weights: a `channel`, or the whole `tensor`."""
    problems: tuple[str, ...]
    """Why it cannot be compiled; empty when it can."""


@dataclass(frozen=True)
class Summary:
    """A whole model."""

    model: str
    kind: str
    """`int8`-like when quantized, else `float`."""
    inputs: tuple[TensorSummary, ...]
    outputs: tuple[TensorSummary, ...]
    state: tuple[TensorSummary, ...]
    """What is kept from one inference to the next."""
    layers: tuple[LayerSummary, ...]
    macs: int
    parameters: int
    parameter_bytes: int
    contradiction: str
    """Why the model makes no sense as a whole, or ""."""

    @property
    def problems(self) -> list[str]:
        """Everything unsupported or contradictory, one sentence each."""
        found = [f"{layer.op} ({layer.name}): {p}" for layer in self.layers for p in layer.problems]
        return found + [self.contradiction] * bool(self.contradiction)

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `intaglio inspect --json`."""
        return {**asdict(self), "unsupported": self.problems}


def summarize(graph: Graph) -> Summary:
    """Describe a graph as a front end gives it, with or without unsupported operators."""
    is_float = float_model(graph) or _meant_as_float(graph)
    counted: set[str] = set()
    # A PAD that a pool takes over, as the float passes do it, is no problem whatever it pads with.
    left = {n.name for n in (dead_code(fuse_padding(graph)) if is_float else graph).nodes}
    layers = tuple(_layer(node, graph, is_float, node.name not in left, counted) for node in graph.nodes)
    dtypes = {graph.tensors[n].dtype for n in (*graph.inputs, *graph.outputs)} - {"float32"}
    kind = "float" if is_float else "/".join(sorted(dtypes)) or "int8"
    return Summary(
        model=graph.name,
        kind=kind,
        inputs=tuple(_tensor(graph.tensors[n]) for n in graph.inputs),
        outputs=tuple(_tensor(graph.tensors[n]) for n in graph.outputs),
        state=tuple(_tensor(t) for t in graph.states()),
        layers=layers,
        macs=sum(layer.macs for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
        parameter_bytes=sum(layer.parameter_bytes for layer in layers),
        contradiction=_contradiction(graph),
    )


def _meant_as_float(graph: Graph) -> bool:
    """Whether a model is in floats but for operators that are unsupported, whose integers are shapes and indices."""
    if not any(not node.op.supported for node in graph.nodes):
        return False
    ends = {graph.tensors[n].dtype for n in (*graph.inputs, *graph.outputs)}
    return "float32" in ends and all(t.quant is None for t in graph.tensors.values() if not t.is_const)


def _contradiction(graph: Graph) -> str:
    try:
        verify(graph, "float")
    except GraphError as error:
        return str(error)
    return ""


def _layer(node: Node, graph: Graph, is_float: bool, taken: bool, counted: set[str]) -> LayerSummary:
    ins, outs = graph.ins(node), graph.outs(node)
    constants = [t for t in ins if t is not None and t.is_const and t.name not in counted]
    counted.update(t.name for t in constants)
    flowing = [t for t in ins if t is not None and not t.is_const]
    unsupported = not node.op.supported
    # Integer weights of a float model are turned into floats before anything is computed.
    hybrid = is_float and not unsupported and any(t is not None and t.dtype != "float32" for t in ins)
    problems = [] if hybrid or (taken and not unsupported) else node.op.check(ins, outs)
    return LayerSummary(
        name=layer_name(node.name),
        op=node.op.title,
        inputs=tuple(t.shape for t in flowing),
        outputs=tuple(t.shape for t in outs),
        dtype=(outs or flowing)[0].dtype if outs or flowing else "",
        macs=0 if unsupported else node.op.macs(ins, outs),
        parameters=sum(t.size for t in constants),
        parameter_bytes=sum(t.stored_bytes for t in constants),
        quantization=_quantization(outs),
        weights=_weights(ins),
        problems=tuple(problems),
    )


def _quantization(outs: Sequence[Tensor]) -> str:
    q = outs[0].quant if outs else None
    return f"{q.scale[0]:.3g}, {q.zero_point[0]}" if q is not None and q.per_tensor else ""


def _weights(ins: Sequence[Tensor | None]) -> str:
    """Of the first constant that is no bias."""
    quants = (t.quant for t in ins if t is not None and t.is_const and t.dtype != "int32")
    first = next((q for q in quants if q is not None), None)
    return "" if first is None else "tensor" if first.per_tensor else "channel"


def _tensor(t: Tensor) -> TensorSummary:
    per_tensor = t.quant is not None and t.quant.per_tensor
    return TensorSummary(
        t.name, t.shape, t.dtype, t.scale if per_tensor else None, t.zero_point if per_tensor else None
    )
