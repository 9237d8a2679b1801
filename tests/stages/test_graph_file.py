"""A Graph as a file: everything comes back, and a damaged file is an error by name."""

import json
from dataclasses import replace

import channel_graphs
import numpy as np
import pytest
import tiny_models
from floats import same_graph
from graph_files import packed, parts

from intaglio import graph_file, pipeline
from intaglio.errors import ModelError
from intaglio.graph import Quant

MADE = (tiny_models.image, tiny_models.movement, tiny_models.two_inputs, tiny_models.streaming, tiny_models.floats)


@pytest.mark.parametrize("make", MADE, ids=lambda m: m.__name__)
def test_everything_comes_back(make, tmp_path):
    graph = make()
    data = graph_file.write(graph)
    found = graph_file.parse(data, "f")
    assert same_graph(graph, found)
    again = graph_file.write(found)  # the padding value -3 of a float field has become -3.0
    assert graph_file.write(graph_file.parse(again, "f")) == again
    path = tmp_path / "m.itg"
    graph_file.save(path, graph)
    assert same_graph(graph, pipeline.load(path))
    assert pipeline.compile_graph(pipeline.load(path), "host") == pipeline.compile_graph(graph, "host")


def test_encodings_come_back():
    graph = tiny_models.image()
    weights = next(n.inputs[1] for n in graph.nodes if n.op.name == "conv2d")
    tensors = {**graph.tensors, weights: replace(graph.tensors[weights], encoding="huffman")}
    encoded = replace(graph, tensors=tensors)
    found = graph_file.parse(graph_file.write(encoded), "f")
    assert same_graph(encoded, found) and not same_graph(graph, found)
    assert "kernels/conv2d_huffman.c" in pipeline.compile_graph(found, "host")


@pytest.mark.parametrize("seed", range(6))
def test_random_float_graphs_come_back_with_their_batch_norms_and_marks(seed):
    graph = channel_graphs.random_graph(seed)
    tensors = dict(graph.tensors)
    weights = next(n.inputs[1] for n in graph.nodes if n.op.name in ("conv2d", "fully_connected"))
    tensors[weights] = replace(tensors[weights], quant=Quant((0.1,), (0,)))
    marked = replace(graph, tensors=tensors)
    found = graph_file.parse(graph_file.write(marked), "f")
    assert same_graph(marked, found) and not same_graph(graph, found)


def test_damage_is_noticed():
    data = graph_file.write(tiny_models.image())
    rng = np.random.default_rng(0)
    for _ in range(200):
        broken = bytearray(data)
        at = int(rng.integers(len(data)))
        broken[at] ^= int(rng.integers(1, 256))
        cut = bytes(broken[: int(rng.integers(len(data) + 1))]) if rng.random() < 0.3 else bytes(broken)
        with pytest.raises(ModelError, match=r"m\.itg"):
            graph_file.parse(cut, "m.itg")


def test_a_file_that_states_nonsense_with_the_right_checksum_is_refused():
    header, raw = parts(graph_file.write(tiny_models.image()))
    for change in (
        lambda h: h.pop("nodes"),
        lambda h: h.update(more=1),
        lambda h: h["nodes"][0].update(op="system"),
        lambda h: h["nodes"][0]["attributes"].update(stride=[0, 0]),
        lambda h: h["nodes"][0]["attributes"].update(stride=["1", "1"]),
        lambda h: h["nodes"][0]["attributes"].update(nothing=1),
        lambda h: h["nodes"][0].update(inputs=["nowhere"]),
        lambda h: h["tensors"][0].update(shape=[1 << 40]),
        lambda h: h["tensors"][0].update(shape=[-1, 2]),
        lambda h: h["tensors"][0].update(dtype="object"),
        lambda h: h["tensors"][1].update(encoding="huffman2"),
        lambda h: h["tensors"].pop(),
        lambda h: h.update(outputs=["nowhere"]),
        lambda h: h.update(outputs=[]),
        lambda h: h["tensors"][1].update(held=not h["tensors"][1]["held"]),
    ):
        broken = json.loads(json.dumps(header))
        change(broken)
        with pytest.raises(ModelError, match=r"sound graph|elements|ends within|too many|encoding|no output"):
            graph_file.parse(packed(broken, raw), "m.itg")
    broken = json.loads(json.dumps(header))
    weights = next(t for t in broken["tensors"] if t["held"])
    weights["state"] = True
    with pytest.raises(ModelError, match=f"takes the state {weights['name']}"):
        graph_file.parse(packed(broken, raw), "m.itg")
    for other in (raw + b"x", raw[:-1]):
        with pytest.raises(ModelError, match=r"too many|ends within"):
            graph_file.parse(packed(header, other), "m.itg")
    for other in ([], None, "x", 1):
        with pytest.raises(ModelError):
            graph_file.parse(packed(other, raw), "m.itg")


def test_files_that_are_none(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        pipeline.load(tmp_path / "none.itg")
    (tmp_path / "empty.itg").write_bytes(b"")
    with pytest.raises(ModelError, match="no graph file"):
        pipeline.load(tmp_path / "empty.itg")
