"""Mutants of .tflite and .itg files, which can hold any Graph."""

from __future__ import annotations

import json
import struct
import zlib
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path

import cases
import numpy as np
import random_graphs
import sparse_files
import tflite as tflite_schema
import tiny_models
from ai_edge_litert import schema_py_generated as schema
from edits import array, edit, pick, raw, times
from flatbuffers.builder import BuilderSizeError

from intaglio import boards, compiled_folder, graph_file, pipeline, progress
from intaglio.emit import tflite as writer
from intaglio.errors import UnsupportedError
from intaglio.frontends import tflite as tflite_frontend
from intaglio.graph import Graph, Node, Preference, Quant, float_model
from intaglio.summary import summarize

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"
KERAS = sorted((Path(__file__).parents[1] / "keras").glob("*.tflite"))
OPERATORS = [c for c in cases.every() if c.oracle and "int8" in c.dtypes]
"""Those that a .tflite holds."""

WAYS: tuple[tuple[bool, Preference], ...] = (
    *[(False, "dense")] * 5, (True, "dense"), (False, "size"), (True, "balanced"),
)  # fmt: skip
"""With and without removing channels, and how weights are stored."""


Compiled = tuple[Graph, dict[str, bytes]]
"""What was executed of a model, and the files it became."""


# ---- what intaglio does with a model ------------------------------------------------------------------------------


def compiled(graph: Graph) -> Compiled:
    """Inspect and compile: the graph, and its files. Raises what either raises."""
    summarize(graph).to_dict()
    graph = pipeline.executable(tflite_frontend.checked(graph, "mutant"))
    board = boards.load("host")
    lossless, weights = WAYS[zlib.crc32(repr([n.op for n in graph.nodes]).encode()) % len(WAYS)]
    return graph, compiled_folder.contents(graph, board, progress.quiet, lossless and not float_model(graph), weights)


def take_tflite(data: bytes) -> Compiled:
    return compiled(tflite_frontend.parse(data, "mutant.tflite", "mutant"))


def take_itg(data: bytes) -> Compiled:
    return compiled(graph_file.parse(data, "mutant.itg"))


# ---- graphs to begin with -----------------------------------------------------------------------------------------


def seed_graph(rng: np.random.Generator) -> Graph:
    """A small model: handmade, of one operator as its test makes it, or of random ones."""
    kind = rng.random()
    if kind < 0.4:
        return pick(rng, (*tiny_models.ALL, tiny_models.floats))()
    if kind < 0.85:
        return pick(rng, OPERATORS).make(rng)
    return random_graphs.random_graph(rng, states=int(rng.integers(0, 2)))


def changed_graph(rng: np.random.Generator) -> Graph:
    """A small model with attributes, quantization, constants or connections changed, and shapes worked out anew: what
    the front ends take, and later stages have to."""
    graph = seed_graph(rng)
    for _ in range(times(rng) + 1):
        node = pick(rng, graph.nodes)
        kind = rng.random()
        tensors = dict(graph.tensors)
        if kind < 0.45 and fields(node.op):
            name = pick(rng, fields(node.op)).name
            value = {"v": json.loads(json.dumps(getattr(node.op, name)))}
            edit(rng, value)
            graph = with_node(graph, replace(node, op=replace(node.op, **{name: tupled(value["v"])})), node)
        elif kind < 0.8:
            t = tensors[pick(rng, sorted(tensors))]
            if t.data is not None and rng.random() < 0.5:
                data = np.array(t.data)
                data.ravel()[: array(rng, t.data).size] = array(rng, t.data)[: data.size]
                tensors[t.name] = replace(t, data=data)
            elif t.quant is not None:
                quant = {"scale": list(t.quant.scale), "zero_point": list(t.quant.zero_point), "bits": t.quant.bits}
                edit(rng, quant)
                scale = tuple(float(np.float32(v)) for v in quant["scale"])
                changed = Quant(scale, tuple(quant["zero_point"]), t.quant.axis, quant["bits"])
                tensors[t.name] = replace(t, quant=changed)
            graph = replace(graph, tensors=tensors)
        elif kind < 0.9 and node.inputs:
            ins = list(node.inputs)
            ins[int(rng.integers(len(ins)))] = pick(rng, sorted(tensors))
            graph = with_node(graph, replace(node, inputs=tuple(ins)), node)
        else:
            graph = replace(graph, outputs=(*graph.outputs[1:], pick(rng, sorted(tensors))))
    return inferred(graph)


def with_node(graph: Graph, new: Node, old: Node) -> Graph:
    return replace(graph, nodes=tuple(new if n is old else n for n in graph.nodes))


def tupled(value: object) -> object:
    return tuple(map(tupled, value)) if isinstance(value, list) else value


def inferred(graph: Graph) -> Graph:
    """With the shapes that the operators give, as far as they give any."""
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        with suppress(Exception):  # what an operator makes of nonsense is for the front ends to judge
            outs = [tensors[n] for n in node.outputs]
            found = node.op.infer([tensors.get(n) if n else None for n in node.inputs], outs)
            for t, (shape, dtype) in zip(outs, found, strict=True):
                tensors[t.name] = replace(t, shape=tuple(shape), dtype=dtype)
    return replace(graph, tensors=tensors)


def mutant_tflite(rng: np.random.Generator) -> bytes:
    """Fields of the flatbuffer's tables in half of them, bytes and offsets in a quarter, else a changed graph."""
    kind = rng.random()
    while kind < 0.25:
        with suppress(Exception):  # what the writer cannot write
            return writer.write(changed_graph(rng))
    data = seed_tflite(rng)
    if kind < 0.5:
        return raw(data, places(data), rng)
    while True:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        for _ in range(times(rng)):
            _edit_tflite(rng, model)
        try:
            return packed(model)
        except (struct.error, TypeError, ValueError, AttributeError, OverflowError, AssertionError, KeyError,
                BuilderSizeError):  # fmt: skip
            continue  # what does not fit its field cannot be in a file


def seed_tflite(rng: np.random.Generator) -> bytes:
    real = [SHARED / f"{name}_int8.tflite" for name in ("kws", "sww")]
    if rng.random() < 0.02 and all(p.is_file() for p in real):
        return pick(rng, real).read_bytes()
    if rng.random() < 0.3:
        return pick(rng, KERAS).read_bytes()
    if rng.random() < 0.05:
        dense = sparse_files.weights(0.1)
        coded = sparse_files.encode(dense, *pick(rng, list(sparse_files.CASES.values())))
        return sparse_files.sparse_file(dense, *coded, pick(rng, (np.float16, np.float32)))
    while True:
        try:
            return writer.write(seed_graph(rng))
        except UnsupportedError:
            continue


def packed(model: schema.ModelT) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _edit_tflite(rng: np.random.Generator, model: schema.ModelT) -> None:
    """An edit of a graph's tensors and operators, rather than of the file's other tables, in most cases."""
    graphs = [g for g in model.subgraphs or () if isinstance(g, schema.SubGraphT)]
    tables = [t for g in graphs for part in (g.tensors, g.operators) if isinstance(part, list) for t in part]
    edit(rng, pick(rng, tables) if tables and rng.random() < 0.75 else model)


def places(data: bytes) -> np.ndarray:
    """Where to edit: anywhere but in long weights, whose damage nobody can tell; of those, the first bytes."""
    free = np.ones(len(data), bool)
    model = tflite_schema.Model.GetRootAs(data, 0)
    for i in range(model.BuffersLength()):
        table = model.Buffers(i)._tab
        field = table.Offset(4)
        if field:
            start, n = table.Vector(field), table.VectorLen(field)
            free[start + 64 : start + n] = False
    return np.flatnonzero(free)


# ---- .itg ---------------------------------------------------------------------------------------------------------


def mutant_itg(rng: np.random.Generator) -> bytes:
    """The JSON of the header changed, or the graph in it, with the right checksum; now and then the constants."""
    while rng.random() < 0.5:
        with suppress(Exception):  # what cannot be written
            return graph_file.write(changed_graph(rng))
    graph = seed_graph(rng)
    _, text, constants = graph_file.write(graph).split(b"\n", 2)
    header = json.loads(text)
    for _ in range(times(rng)):
        part = pick(rng, (header, header, {"n": header.get("nodes")}, {"t": header.get("tensors")}))
        edit(rng, part, strange=0.05)
        if rng.random() < 0.1 and header.get("nodes"):
            node = pick(rng, header["nodes"])
            if isinstance(node, dict):
                node["op"] = pick(rng, sorted(graph_file.all_ops()))
    if rng.random() < 0.05:
        constants = raw(constants, np.arange(max(1, len(constants))), rng)
    body = json.dumps(header).encode() + b"\n" + constants
    return graph_file.MAGIC + graph_file.digest(body).encode() + b"\n" + body
