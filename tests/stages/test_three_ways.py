"""One module, exported to PyTorch's, ONNX's and TFLite's formats (three_ways/make.py): the same floats from each."""

from pathlib import Path

import numpy as np
import pytest

from intaglio import pipeline
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify

HERE = Path(__file__).parent / "three_ways"


def given(graph, x):
    """Samples as the graph takes them: NHWC, or NCHW where the converter kept that."""
    shape = graph.tensors[graph.inputs[0]].shape[1:]
    return x if x.shape[1:] == shape else np.ascontiguousarray(x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("kind", ["pt2", "onnx", "tflite"])
def test_same_floats_from_every_format(kind):
    with np.load(HERE / "x.npz") as archive:
        x, y = archive["x"], archive["y"]
    graph = pipeline.load(HERE / f"net.{kind}")
    for g in (graph, simplify(graph)):
        got = np.concatenate([run_float(g, [row[None]])[0] for row in given(g, x)])
        np.testing.assert_allclose(got, y, rtol=1e-5, atol=1e-5)


def test_same_layers_from_pytorch_and_onnx():
    graphs = [simplify(pipeline.load(HERE / f"net.{kind}")) for kind in ("pt2", "onnx")]
    first, second = ([n.op for n in g.nodes] for g in graphs)
    assert first == second and graphs[0].macs() == graphs[1].macs()
