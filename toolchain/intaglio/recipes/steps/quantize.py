"""`quantize`: integers, by calibration alone or by training that computes in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from ...errors import DataError
from ...graph import Array, Graph
from .base import Context, weighted
from .training import LARGE, Taught, Training, kept, train

FROZEN = 0.5
"""The part of the training in which ranges are learned as well."""
CALIBRATED = ("method", "activation_bits", "rounding", "equalize", "bias_correction")
"""Options of post-training alone."""


class Step(Taught):
    """See quantize/post_training.py and train/quantized.py. Zeros and codebooks stay."""

    gives: ClassVar[Literal["float", "quantized", "same"]] = "quantized"
    how: Literal["post-training", "aware"] = "post-training"
    weight_bits: int | dict[str, int] = 8
    """8, 4 or 2: of all layers, or by name or pattern, the later ones winning and others having 8."""
    keep_float: tuple[str, ...] = ()
    """Layers, or patterns, that stay in float32."""
    samples: int = Field(default=512, ge=1)
    """Of the training data, evenly spread, that ranges are calibrated with."""
    method: Literal["minmax", "percentile", "mse", "entropy"] | None = None
    activation_bits: Literal[8, 16] = 8
    rounding: Literal["nearest", "learned"] = "nearest"
    equalize: bool = False
    bias_correction: bool = True
    epochs: int = Field(default=3, ge=0)
    learning_rate: float = Field(default=1e-4, gt=0, lt=LARGE)

    @property
    def needs_targets(self) -> bool:
        """Calibration alone needs none."""
        return self.how == "aware" and self.epochs > 0

    @property
    def unfit_for_shared(self) -> str:
        """A codebook fixes the bits of its weights, and learned rounding would give them more values than they
        share."""
        return "weight_bits" if self.weight_bits != 8 else "rounding" if self.rounding == "learned" else ""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        other = (*Training.model_fields, "distil") if self.how == "post-training" else CALIBRATED
        wrong = self.given(*other)
        if wrong:
            belongs = "aware" if self.how == "post-training" else "post-training"
            raise ValueError(f'{wrong[0]} is given with how = "{self.how}"; allowed: "{belongs}"')
        for bits in self.weight_bits.values() if isinstance(self.weight_bits, Mapping) else (self.weight_bits,):
            if bits not in (8, 4, 2):
                raise ValueError(f"weight_bits is {bits}; allowed: 8, 4 or 2")
            if bits != 8 and self.activation_bits == 16:
                raise ValueError(f"weight_bits is {bits} with activation_bits = 16; allowed: 8")
        return self

    def check(self, graph: Graph) -> None:
        from ...floats.simplify import simplify
        from ...quantize.partial import choose
        from ...quantize.weights import layer_bits

        graph = simplify(graph)
        kept = choose(graph, self.keep_float)
        if self.keep_float and all(n.outputs[0] in kept for n in weighted(graph)):
            raise DataError("keep_float", "names every layer with weights", "some of them: nothing would be quantized")
        layer_bits(graph, self.weight_bits)

    def apply(self, graph: Graph, context: Context) -> Graph:
        assert context.train is not None
        context.show(f"{context.where}, calibrating")
        samples = dict(zip(graph.inputs, context.train.inputs(self.samples), strict=True))
        if self.how == "post-training":
            return self._calibrated(graph, samples)
        from ...train import quantization_aware

        module = quantization_aware(graph, samples, weight_bits=self.weight_bits, keep_float=self.keep_float)

        def freeze(part: float) -> None:
            if part >= FROZEN:
                module.freeze_ranges()

        train(kept(module), self, context, teaching=self.distil, before_step=freeze)
        found: Graph = module.to_graph()
        return found

    def _calibrated(self, graph: Graph, samples: Mapping[str, Array]) -> Graph:
        from ...quantize.post_training import post_training

        return post_training(
            graph, samples, self.method, equalized=self.equalize, bias_corrected=self.bias_correction,
            rounding=self.rounding, keep_float=self.keep_float, weight_bits=self.weight_bits,
            activation_bits=self.activation_bits,
        )  # fmt: skip
