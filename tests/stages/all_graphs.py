"""The graphs that the tests are made of, gathered once: what must hold of every graph is asked of these."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import channel_graphs
import every_operator
import numpy as np
import onnx_idioms
import onnx_models
import random_graphs
import tiny_models
import torch
import torch_zoo

from intaglio import pipeline
from intaglio.frontends import onnx as onnx_frontend
from intaglio.frontends import torch as torch_frontend
from intaglio.graph import Graph, float_model
from intaglio.quantize.post_training import post_training

SHARED = Path(__file__).resolve().parents[3] / "shared"
SMALL = 400_000
"""Bytes of a file that is looked at."""


@cache
def graphs() -> dict[str, Graph]:
    """By a name that says where it is from: float, int8, int16, marked and mixed ones, as front ends give them."""
    found = {f"operator {name} {dtype}": graph for name, dtype, graph in every_operator.cases()}
    found |= {f"tiny {make.__name__}": make() for make in (*tiny_models.ALL, tiny_models.floats)}
    found |= {f"torch {name}": _traced(name) for name in torch_zoo.ZOO}
    found |= {f"network {name}": channel_graphs.network(name) for name in channel_graphs.NETWORKS}
    found |= {f"channels {seed}": channel_graphs.random_graph(seed) for seed in range(12)}
    for seed in range(12):
        found[f"random {seed}"] = random_graphs.random_graph(np.random.default_rng([9, seed]), seed % 3)
    files = {**onnx_idioms.IDIOMS, "qdq": onnx_models.qdq(), "qdq_uint8": onnx_models.qdq(np.uint8)}
    found |= {f"onnx {name}": onnx_frontend.parse(data, "m.onnx", "m") for name, data in files.items()}
    found |= {f"marked {name}": onnx_frontend.translated(data, "m.onnx", "m") for name, data in files.items()}
    return {**found, **_quantized(found), **_shared()}


def _traced(name: str) -> Graph:
    module, shape = torch_zoo.model(name)
    return torch_frontend.load(module, torch.zeros(1, *shape), name)


def _quantized(found: dict[str, Graph]) -> dict[str, Graph]:
    """Some of the networks in int8 and in int16."""
    names = ("torch residual", "torch squeeze_excite", "torch conv1d", "torch pad_value", "onnx cnn")
    made: dict[str, Graph] = {}
    for name in names:
        graph = found[name]
        x = np.random.default_rng(1).normal(size=(4, *graph.tensors[graph.inputs[0]].shape[1:])).astype(np.float32)
        made |= {f"{name} int{bits}": post_training(graph, x, activation_bits=bits) for bits in (8, 16)}
    return made


def _shared() -> dict[str, Graph]:
    """Models beside the checkout, where there are any, as far as they can be read."""
    paths = [p for folder in ("cases", "models") for p in sorted((SHARED / folder).glob("*.*"))]
    files = [p for p in paths if p.suffix in (".tflite", ".onnx") and p.stat().st_size < SMALL]
    return {f"file {p.name}": pipeline.read(p) for p in files}


def floats() -> dict[str, Graph]:
    """Those that nothing is quantized in."""
    return {name: graph for name, graph in graphs().items() if float_model(graph)}
