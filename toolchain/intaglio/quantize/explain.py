"""Where accuracy goes: a float graph and its quantization compared layer by layer, and what to try."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import interpret
from ..floats.run import keeps_batch, run_float, torch_module
from ..graph import INT_RANGE, Array, Graph, Node, Tensor, layer_name
from ..ops import all_ops
from .simulate import real_values, snapped

SAMPLES = 32
"""The integer reference runs sample by sample: as many say enough about noise."""
CAP = 120.0
"""dB. No error at all is this much, nothing but error its negative."""
WORST = 3
"""Channels and layers that are named."""
CLIPPED = 1e-3
"""Share of saturated values from which on clipping is suspected."""
UNEVEN = 16.0
"""Where the median channel has at most this part of the tensor's range, half of the channels have four bits or
fewer."""
FINE = 60.0
"""dB. A layer that leaves the outputs with this much is not worth naming."""
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class LayerReport:
    """One layer of the quantized graph, or an input (`op` is then "input"). SQNR is 10 log10 of the
    power of the float values over that of the error."""

    name: str
    op: str
    sqnr_db: float
    """Of the layer's result, with the error of everything before it."""
    cosine: float
    """Similarity of float and integer results, all samples as one vector."""
    saturated: float
    """Share of float values that lie more than half a step beyond what the integers can hold."""
    alone_db: float
    """SQNR of the graph's outputs when this layer alone is quantized: its part in the loss."""
    weights_db: float | None
    """The same with only its weights and bias quantized; None without weights."""
    worst_channels: tuple[tuple[int, float], ...]
    """(index along the last dimension, SQNR in dB) of the worst, worst first, those that are always zero left out; none
    for a single channel."""
    median_range: float
    """The range of the median channel of those that are not always zero, as a part of the tensor's range."""


@dataclass(frozen=True)
class QuantizationReport:
    """`layers` in execution order."""

    model: str
    samples: int
    output_db: float
    """SQNR of the graph's outputs."""
    layers: tuple[LayerReport, ...]

    @property
    def worst(self) -> tuple[LayerReport, ...]:
        """The layers that hurt the outputs most, worst first."""
        hurting = [layer for layer in self.layers if layer.alone_db < FINE]
        return tuple(sorted(hurting, key=lambda layer: layer.alone_db)[:WORST])

    @property
    def advice(self) -> tuple[str, ...]:
        """One sentence on each of the worst layers: what its error comes from, and what to try."""
        return tuple(f"{layer.name} ({layer.op}): {_advice(layer)}" for layer in self.worst)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        layers = [asdict(layer) for layer in self.layers]
        worst = [layer.name for layer in self.worst]
        return {
            "model": self.model, "samples": self.samples, "output_db": self.output_db, "layers": layers,
            "worst": worst, "advice": list(self.advice),
        }  # fmt: skip


def explain(graph: Graph, quantized: Graph, arrays: Sequence[Array]) -> QuantizationReport:
    """Compare the float results of every layer with those of the integers.

    Args:
        graph: the simplified (or equalized) float graph that was quantized.
        quantized: what became of it; the integers are those of `interpret`, so those of the C.
        arrays: one float32 array [n, *shape without the batch] a graph input; the first SAMPLES are used.
    """
    few = [a[:SAMPLES] for a in arrays]
    floats, ints = _float_values(graph, few), _integer_values(quantized, few)
    wanted = _outputs(graph, few)
    layers = [_report(n, "input", n, None, floats, ints, wanted, graph, quantized, few) for n in graph.inputs]
    known = {n.name for n in graph.nodes}
    # Without views, and without a QUANTIZE that joins two scales: its error shows in what reads it.
    for node in (n for n in quantized.nodes if n.name in known and not n.op.is_view):
        result = node.outputs[0]
        layers.append(
            _report(layer_name(node.name), node.op.name, result, node, floats, ints, wanted, graph, quantized, few)
        )
    got = np.concatenate([_real(ints[n], quantized.tensors[n]).reshape(len(few[0]), -1) for n in quantized.outputs], 1)
    return QuantizationReport(quantized.name, len(few[0]), _db(wanted, got), tuple(layers))


def _report(
    name: str, op: str, result: str, node: Node | None, floats: dict[str, Array], ints: dict[str, Array],
    wanted: Array, graph: Graph, quantized: Graph, arrays: Sequence[Array],
) -> LayerReport:  # fmt: skip
    """Of one layer, or of the graph input `result` when there is no `node`."""
    t = quantized.tensors[result]
    x, y = floats[result], _real(ints[result], t)
    constants = _constants(node, quantized) if node is not None else {}
    snap = {n: quantized.tensors[n] for n in (node.outputs if node is not None else (result,))}
    return LayerReport(
        name=name,
        op=op,
        sqnr_db=_db(x, y),
        cosine=_cosine(x, y),
        saturated=_saturated(x, t),
        alone_db=_db(wanted, _outputs(graph, arrays, constants, snap)),
        weights_db=_db(wanted, _outputs(graph, arrays, constants)) if constants else None,
        worst_channels=_worst_channels(x, y),
        median_range=_median_range(x),
    )


def _advice(layer: LayerReport) -> str:
    op = all_ops().get(layer.op)
    if op is not None and op.output_quants:
        return "its scale is fixed by the TFLite specification: leave it out of the model and take what it reads"
    if layer.weights_db is not None and layer.weights_db <= layer.alone_db + 3.0:
        return "its error comes from rounding its weights: try --equalize, or train with quantization"
    if layer.saturated > CLIPPED:
        share = f"{layer.saturated:.1%} of its values are clipped"
        return f"{share}: try --method minmax, or calibrate with more samples"
    if layer.median_range < 1 / UNEVEN:
        ratio = f"half of its channels have 1/{1 / layer.median_range:.0f} of the tensor's range or less"
        return f"{ratio}: try --equalize"
    if op is not None and op.rounding_advice:
        return op.rounding_advice
    what = "values" if layer.op == "input" else "result"
    return f"its error comes from rounding its {what}: try --method mse, which narrows the range where that helps"


# ---- running ----------------------------------------------------------------------------------------------------


def _float_values(graph: Graph, arrays: Sequence[Array]) -> dict[str, Array]:
    found: dict[str, list[Array]] = {}
    for portion in _portions(graph, arrays):
        run_float(graph, portion, lambda name, value: found.setdefault(name, []).append(value.numpy()))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _integer_values(graph: Graph, arrays: Sequence[Array]) -> dict[str, Array]:
    found: dict[str, list[Array]] = {}
    for i in range(len(arrays[0])):
        row = [_integers(a[i], graph.tensors[n]) for a, n in zip(arrays, graph.inputs, strict=True)]
        for name, x in zip(graph.inputs, row, strict=True):
            found.setdefault(name, []).append(x)
        interpret.step(graph, row, {}, lambda name, value: found.setdefault(name, []).append(value))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _outputs(
    graph: Graph,
    arrays: Sequence[Array],
    constants: Mapping[str, Sequence[Any]] = NOTHING,
    snap: Mapping[str, Tensor] = NOTHING,
) -> Array:
    """The float graph's outputs [n, values], with `constants` in place of the weights and bias of the nodes named, and
    the inputs and results named in `snap` rounded as these tensors are quantized."""
    torch = torch_module()
    rows = []
    with torch.no_grad():
        for portion in _portions(graph, arrays):
            values: dict[str, Any] = {t.name: torch.tensor(t.data) for t in graph.tensors.values() if t.is_const}
            for name, x in zip(graph.inputs, portion, strict=True):
                values[name] = snapped(torch.tensor(x), snap[name]) if name in snap else torch.tensor(x)
            for node in graph.nodes:
                others = [values[n] if n else None for n in node.inputs[1:]]
                found = node.op.forward(values[node.inputs[0]], *constants.get(node.name, others))
                found = found if isinstance(found, tuple | list) else [found]
                for name, value in zip(node.outputs, found, strict=True):
                    values[name] = snapped(value, snap[name]) if name in snap else value
            rows.append(np.concatenate([values[n].numpy().reshape(len(portion[0]), -1) for n in graph.outputs], 1))
    return np.concatenate(rows)


def _constants(node: Node, quantized: Graph) -> dict[str, list[Any]]:
    """The real values of a layer's integer weights and bias, as torch tensors, under the node's name."""
    if not node.op.weighted:
        return {}
    torch = torch_module()
    return {node.name: [torch.tensor(real_values(quantized.tensors[n])) for n in node.inputs[1:] if n]}


def _portions(graph: Graph, arrays: Sequence[Array]) -> list[list[Array]]:
    size = SAMPLES if keeps_batch(graph) else 1
    return [[a[i : i + size] for a in arrays] for i in range(0, len(arrays[0]), size)]


# ---- comparing --------------------------------------------------------------------------------------------------


def _integers(x: Array, t: Tensor) -> Array:
    if t.dtype == "float32":
        return x.astype(np.float32).reshape(t.shape)
    q = np.round(x.astype(np.float64) / t.scale) + t.zero_point
    return np.clip(q, *INT_RANGE[t.dtype]).astype(t.dtype).reshape(t.shape)


def _real(q: Array, t: Tensor) -> Array:
    if t.dtype == "float32":
        return q.astype(np.float64)
    return (q.astype(np.float64) - t.zero_point) * t.scale


def _db(wanted: Array, got: Array) -> float:
    a = np.asarray(wanted, np.float64).ravel()
    return _ratio_db(float((a**2).sum()), float(((a - np.asarray(got, np.float64).ravel()) ** 2).sum()))


def _ratio_db(signal: float, noise: float) -> float:
    if noise == 0.0:
        return CAP
    return float(np.clip(10 * np.log10(max(signal, 1e-300) / noise), -CAP, CAP))


def _cosine(x: Array, y: Array) -> float:
    a, b = x.astype(np.float64).ravel(), y.ravel()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    # Two tensors of zeros are alike; zeros and something else are not.
    return float(a @ b) / size if size > 0 else float(np.array_equal(a, b))


def _saturated(x: Array, t: Tensor) -> float:
    if t.dtype == "float32":
        return 0.0
    lowest, highest = INT_RANGE[t.dtype]
    low, high = ((v - t.zero_point) * t.scale for v in (lowest - 0.5, highest + 0.5))
    return float(((x < low) | (x > high)).mean())


def _worst_channels(x: Array, y: Array) -> tuple[tuple[int, float], ...]:
    channels = x.shape[-1]
    if x.ndim < 2 or channels == 1:
        return ()
    a, b = x.astype(np.float64).reshape(-1, channels), y.reshape(-1, channels)
    signal, noise = (a**2).sum(0), ((a - b) ** 2).sum(0)
    each = sorted((_ratio_db(float(signal[i]), float(noise[i])), int(i)) for i in np.flatnonzero(signal))
    return tuple((i, db) for db, i in each[:WORST])


def _median_range(x: Array) -> float:
    a = x.astype(np.float64).reshape(-1, x.shape[-1])
    ranges = np.maximum(a.max(0), 0.0) - np.minimum(a.min(0), 0.0)
    some = ranges[ranges > 0]
    return float(np.median(some) / (max(a.max(), 0.0) - min(a.min(), 0.0))) if some.size else 1.0
