"""What holds of every pass, on every graph of the tests. Passes are found by looking: public functions of the package
that need nothing but a Graph, and whose result is a Graph."""

import importlib
import inspect
import pkgutil

import all_graphs
import numpy as np
import pytest
from floats import same_graph

import intaglio
from intaglio import pipeline
from intaglio.errors import IntaglioError
from intaglio.floats.simplify import simplify
from intaglio.ops.reshape import Reshape
from intaglio.quantize.post_training import post_training

OTHERS = ("intaglio.cli", "intaglio.frontends", "intaglio.runners", "intaglio.ops")


def passes():
    found = {}
    for module in pkgutil.walk_packages(intaglio.__path__, "intaglio."):
        if module.name.startswith(OTHERS) or module.name.endswith("__main__"):
            continue
        for name, function in vars(importlib.import_module(module.name)).items():
            own = inspect.isfunction(function) and function.__module__ == module.name
            if own and not name.startswith("_") and _is_pass(inspect.signature(function)):
                found[f"{module.name.removeprefix('intaglio.')}.{name}"] = function
    return found


def _is_pass(signature):
    first, *others = signature.parameters.values() or [None]
    # What has options by name alone is a verb, which does nothing without them (prune_channels).
    optional = all(p.default is not p.empty and p.kind is not p.KEYWORD_ONLY for p in others)
    takes = first is not None and first.annotation == "Graph" and optional
    return takes and signature.return_annotation == "Graph"


PASSES = passes()


def test_passes_are_found():
    known = ("floats.simplify.simplify", "floats.identities.remove_identities", "lower.outputs.own_outputs",
             "lower.explicit_padding.explicit_padding", "compress.lossless.lossless", "plan.memory.plan")  # fmt: skip
    assert set(known) <= set(PASSES) and len(PASSES) >= 20


def stage_of(name):
    """Graphs as the pass finds them: most take any, planning what has been lowered."""
    return (lambda graph: pipeline.selected(graph, "host")) if name.startswith("plan.") else lambda graph: graph


@pytest.mark.parametrize("name", PASSES)
def test_doing_it_twice_changes_nothing(name):
    """A pass may refuse a graph; one that it takes, it is done with in one call."""
    taken = 0
    for where, graph in all_graphs.graphs().items():
        try:
            once = PASSES[name](stage_of(name)(graph))
        except IntaglioError:
            continue
        taken += 1
        assert same_graph(PASSES[name](once), once), f"{name} changes {where} again"
    assert taken > 20


def test_case_of_conv1d_without_batch_norm(tmp_path):
    """Conv1d, ReLU from PyTorch through ONNX: once a KeyError, since a second simplification found more."""
    path = all_graphs.SHARED / "cases" / "conv1d_relu_conv1d.onnx"
    if not path.exists():
        pytest.skip("the cases are not beside this checkout (../shared/cases)")
    with np.load(path.with_name("conv1d_relu_conv1d_x.npz")) as archive:
        [x] = (archive[name] for name in archive.files)
    quantized = post_training(pipeline.load(path), x, rounding="learned")
    assert pipeline.compile_graph(quantized, "host")


@pytest.mark.parametrize("name", ["torch conv1d_plain", "network conv1d"])
@pytest.mark.parametrize("equalized", [False, True])
def test_calibration_and_quantization_name_the_same_tensors(name, equalized):
    graph = all_graphs.graphs()[name]
    x = np.random.default_rng(1).normal(size=(8, *graph.tensors[graph.inputs[0]].shape[1:])).astype(np.float32)
    quantized = post_training(graph, x, rounding="learned", equalized=equalized)
    assert all(t.dtype != "float32" for t in quantized.tensors.values())


def test_simplify_goes_on_until_nothing_is_left():
    """A RELU that is fused across views leaves two of them in a row, which an earlier pass removes."""
    graph = simplify(all_graphs.graphs()["torch conv1d_plain"])
    written = {name: node for node in graph.nodes for name in node.outputs}
    for node in graph.nodes:
        before = written.get(node.inputs[0])
        assert not (isinstance(node.op, Reshape) and before is not None and isinstance(before.op, Reshape))
