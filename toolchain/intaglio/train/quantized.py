"""Quantization-aware training whose forward pass is the integer arithmetic of the device.

At each step the current float weights go through the code of post-training quantization. The whole batch is then
computed in the integers that this gives, as on the device; gradients go straight through (integer.py). What is trained
is therefore what will run: there is no fake quantization that only resembles it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from ..errors import DataError, TrainingError
from ..floats.pool_to_mean import pool_to_mean
from ..floats.run import as_tensors
from ..floats.simplify import simplify
from ..graph import DTYPES, Array, Graph, Node, Tensor
from ..quantize.calibrate import Ranges, calibrate
from ..quantize.methods import DEFAULT_METHODS
from ..quantize.post_training import quantize, quantize_simplified
from ..quantize.scales import groups_of
from ..quantize.weights import WeightBits
from .integer import constant_value, entered, run_node
from .module import GraphModule, gathered, require_trainable, with_values

HUGE = 1e30
"""No weight and no range is larger: scales are float32."""
PORTION = 250
"""Samples that `integers` computes at a time."""


class QuantizedModule(GraphModule):
    """A GraphModule that computes in integers; made by `quantization_aware`.

    Parameters are those of the float graph, its batch norms folded, and `growth`: the logarithm of a factor on the
    calibrated range of each group of tensors that are quantized alike, learned until `freeze_ranges`. Outputs are
    floats, the real values of the integers.
    """

    def __init__(self, graph: Graph, ranges: Ranges, keep_float: Collection[str], weight_bits: WeightBits) -> None:
        super().__init__(graph)
        self.keep_float, self.weight_bits = keep_float, weight_bits
        self.ranged = [*graph.inputs, *(n for node in graph.nodes for n in node.outputs)]
        """The tensors that `ranges` is about, in order."""
        self.register_buffer("ranges", torch.tensor([ranges[n] for n in self.ranged], dtype=torch.float64))
        fixed = {n.outputs[0] for n in graph.nodes if n.op.output_quants}
        groups = [g for g in groups_of(graph) if not fixed.intersection(g)]
        self.group = {name: k for k, members in enumerate(groups) for name in members}
        """Tensor -> its element of `growth`; a tensor whose quantization the specification fixes has none."""
        self.growth = nn.Parameter(torch.zeros(len(groups)))
        self.mates = {node.outputs[0]: node for node in graph.nodes}

    def freeze_ranges(self) -> None:
        """Keep the ranges as they are from here on, as the end of a training should."""
        self.growth.requires_grad_(False)

    def to_graph(self) -> Graph:
        """The quantized Graph of the current values: what `compile` takes, and what this module computes."""
        return self._quantized(self.constants())

    def _quantized(self, constants: Mapping[str, Any]) -> Graph:
        """The quantized Graph of these constants."""
        ranges = {}
        factors = self.growth.detach().double().exp().tolist()
        for name, (low, high) in zip(self.ranged, self.ranges.tolist(), strict=True):
            factor = factors[self.group[name]] if name in self.group else 1.0
            ranges[name] = (low * factor, high * factor)
        graph = with_values(self.graph, constants, self.grids())
        constant = {t.name: np.abs(t.data).max() for t in graph.tensors.values() if t.data is not None and t.data.size}
        reached = {name: max(abs(low), abs(high)) for name, (low, high) in ranges.items()}
        for name, most in {**constant, **reached}.items():
            # Integers would hide it: the loss stays finite.
            if not most <= HUGE:
                found = f"{name} {f'reaches {most:.0e}' if np.isfinite(most) else 'holds NaN or infinite values'}"
                remedy = "Lower the learning rate, or bound the gradient"
                raise TrainingError(f"graph {graph.name}", found, f"{HUGE:.0e} at most", remedy)
        return quantize_simplified(graph, ranges, self.keep_float, self.weight_bits)

    def forward(self, *inputs: Any) -> Any:
        """Floats [n, ...], one tensor or array per graph input in its layout -> the output's real values, or a tuple.

        Raises: DataError for inputs that do not fit; TrainingError when a weight is not finite any more;
            UnsupportedError when the weights have become such that no integer kernel can execute them.
        """
        # Once: parametrizations may be random, and slow.
        constants = self.constants()
        graph = self._quantized(constants)
        found = self._values(graph, constants, inputs)
        real = [y if t.dtype == "float32" else y * t.scale for y, t in zip(found, _outputs(graph), strict=True)]
        return real[0] if len(real) == 1 else tuple(real)

    def integers(self, *inputs: Array) -> list[Array]:
        """The bytes that the C gives, for many samples at once and without running it.

        Args:
            inputs: one array per graph input, [n, *shape without the batch]: numbers, or the bytes that the C takes,
                which are known by the input's own integer dtype.

        Returns: one array per graph output, [n, *shape without the batch], in its dtype: integers, floats where a kept
            layer makes it.
        """
        tensors = as_tensors(self.graph, inputs)
        portions: list[list[Array]] = []
        with torch.no_grad():
            constants = self.constants()
            graph = self._quantized(constants)
            if not len(tensors[0]):
                return [np.zeros((0, *_row(t)), DTYPES[t.dtype]) for t in _outputs(graph)]
            for start in range(0, len(tensors[0]), PORTION):
                part = [x[start : start + PORTION] for x in tensors]
                found = zip(self._values(graph, constants, part), _outputs(graph), strict=True)
                portions.append([_array(y, t).reshape(len(part[0]), *_row(t)) for y, t in found])
        return [np.concatenate(p) for p in zip(*portions, strict=True)]

    def _values(self, graph: Graph, constants: Mapping[str, Any], inputs: Sequence[Any]) -> list[Any]:
        """The outputs: integers less the zero point, or floats."""
        tensors = as_tensors(self.graph, inputs)
        # Automatic mixed precision would compute the sums in fewer bits than they have.
        with torch.autocast(tensors[0].device.type, enabled=False):
            if self.batched:
                return self._run(graph, constants, tensors)
            each = [[x[i : i + 1] for x in tensors] for i in range(len(tensors[0]))]
            return gathered([self._run(graph, constants, one) for one in each], self.graph)

    def _run(self, graph: Graph, constants: Mapping[str, Any], inputs: Sequence[Any]) -> list[Any]:
        samples = len(inputs[0])
        values: dict[str, Any] = {}
        for name, x in zip(graph.inputs, inputs, strict=True):
            values[name] = self._entered(x, graph.tensors[name])
        for node in graph.nodes:
            xs = [self._input(graph, node, at, values, constants) for at in range(len(node.inputs))]
            ins = [None if t is None else _batched(t, samples) for t in graph.ins(node)]
            outs = [_batched(t, samples) for t in graph.outs(node)]
            found = run_node(node, ins, outs, xs, self._growth(node.outputs[0]), self.training)
            values.update(zip(node.outputs, found, strict=True))
        return [values[n] for n in graph.outputs]

    def _entered(self, x: Any, t: Tensor) -> Any:
        if t.dtype == "float32":
            return x.float()
        if x.dtype == getattr(torch, t.dtype):
            return x.float() - t.zero_point
        # Integers of another type are numbers, as they are to a module of `to_module`: pixels of uint8, say.
        x = x.float()
        if bool(torch.isnan(x).any()):
            raise DataError(f"input {t.name}", "holds NaN", "numbers: no integer stands for it")
        return entered(x, t, self._growth(t.name))

    def _input(self, graph: Graph, node: Node, at: int, values: Mapping[str, Any], constants: Mapping[str, Any]) -> Any:
        """The value of an input: of an activation as computed, of a constant from the float one it was made of."""
        name = node.inputs[at]
        if not name or name in values:
            return values[name] if name else None
        return constant_value(graph.tensors[name], constants[self.mates[node.outputs[0]].inputs[at]])

    def _growth(self, name: str) -> Any:
        return self.growth[self.group[name]] if name in self.group and self.growth.requires_grad else None


def _batched(t: Tensor, samples: int) -> Tensor:
    return replace(t, shape=(samples, *t.shape[1:])) if not t.is_const and t.shape[:1] == (1,) else t


def _outputs(graph: Graph) -> list[Tensor]:
    return [graph.tensors[n] for n in graph.outputs]


def _row(t: Tensor) -> tuple[int, ...]:
    """The shape of one sample's output, without the leading 1."""
    return t.shape[1:] if t.shape[:1] == (1,) else t.shape


def _array(value: Any, t: Tensor) -> Array:
    zero = 0 if t.dtype == "float32" else t.zero_point
    return np.asarray((value + zero).cpu().numpy()).astype(DTYPES[t.dtype])


def prepared(
    model: Graph | GraphModule, calibration: Any, keep_float: Collection[str], weight_bits: WeightBits
) -> QuantizedModule:
    """See `train.quantization_aware`."""
    if isinstance(model, QuantizedModule):
        raise DataError("module", "is quantization-aware already", "a float Graph, or a module of to_module")
    if isinstance(model, GraphModule):
        if any(nn.utils.parametrize.is_parametrized(m) for m in model.modules()):
            remedy = "Register parametrizations on the result: its layers have the same names"
            raise DataError("module", "has parametrizations, which folding batch norms would lose", "", remedy)
        model = model.to_graph()
    graph = pool_to_mean(simplify(model))
    require_trainable(graph)
    ranges = calibration if _are_ranges(calibration) else calibrate(graph, calibration, DEFAULT_METHODS[8])
    quantize(graph, ranges, keep_float, weight_bits)  # what cannot be quantized is told of now, not in the first step
    return QuantizedModule(graph, ranges, keep_float, weight_bits)


def _are_ranges(calibration: Any) -> bool:
    """Whether it maps names to pairs of numbers, as `calibrate` gives them."""
    if not isinstance(calibration, Mapping) or not calibration:
        return False
    return all(isinstance(v, tuple | list) and np.shape(v) == (2,) for v in calibration.values())
