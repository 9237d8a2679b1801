"""Damaged ONNX files may only end in a typed error, quickly and in little memory."""

import numpy as np
import onnx
import onnx_models
import pytest
import test_mutants

from intaglio import pipeline
from intaglio.errors import IntaglioError
from intaglio.frontends import onnx as frontend
from intaglio.graph import float_model
from intaglio.quantize.simplify import simplify
from intaglio.summary import summarize

MUTANTS = 400
"""Of each model and kind of damage: 2,400 in all."""
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")
MODELS = {"cnn": onnx_models.cnn(), "cnn_old": onnx_models.cnn(11), "qdq": onnx_models.qdq(np.uint8)}
OPS = ("Relu", "Shape", "Gather", "Concat", "Reshape", "Conv", "Split", "If", "Expand", "Resize", "QuantizeLinear",
       "Slice", "Squeeze", "Range", "Pad", "Transpose", "ConvTranspose", "QLinearConv", "MatMul",
       "ConstantOfShape")  # fmt: skip
NUMBERS = (-(2**63), -(2**31), -7, -1, 0, 1, 2, 3, 4, 7, 64, 65536, 2**31 - 1, 2**33, 2**63 - 1)


def mutate_fields(data, rng):
    """One to three edits of what the protobuf says, so that it still is a protobuf."""
    model = onnx.load_model_from_string(data)
    graph = model.graph
    names = [o for n in graph.node for o in n.output] + [t.name for t in graph.initializer] + ["x", "", "nothing"]
    for _ in range(int(rng.integers(1, 4))):
        n = graph.node[int(rng.integers(len(graph.node)))]
        t = graph.initializer[int(rng.integers(len(graph.initializer)))]
        number = int(rng.choice(np.array(NUMBERS, object)))
        match int(rng.integers(12)):
            case 0 if n.attribute:
                a = n.attribute[int(rng.integers(len(n.attribute)))]
                a.type = int(rng.integers(0, 15))
            case 1 if n.attribute:
                a = n.attribute[int(rng.integers(len(n.attribute)))]
                a.i = number
                if a.ints:
                    a.ints[int(rng.integers(len(a.ints)))] = number
            case 2 if n.attribute:
                a = n.attribute[int(rng.integers(len(n.attribute)))]
                a.ints.extend([number] * int(rng.integers(1, 4)))
            case 3 if n.input:
                n.input[int(rng.integers(len(n.input)))] = str(rng.choice(names))
            case 4:
                n.op_type = str(rng.choice(OPS))
            case 5 if t.dims:
                t.dims[int(rng.integers(len(t.dims)))] = number
            case 6:
                t.data_type = int(rng.integers(0, 25))
            case 7:
                t.raw_data = rng.bytes(len(t.raw_data))
            case 8:
                graph.input[0].type.tensor_type.shape.dim[int(rng.integers(1, 3))].dim_value = number
            case 9:
                key = str(rng.choice(["axis", "group", "to", "split"]))
                n.attribute.append(onnx.helper.make_attribute(key, number))
            case 10:
                n.input.append(str(rng.choice(names)))
            case _:
                t.raw_data = np.full(max(len(t.raw_data) // 8, 1), number, np.int64).tobytes()[: len(t.raw_data)]
    return model.SerializeToString()


def survives(data):
    """Inspect, and compile or simplify; the name of the typed error that ended it, or an empty string."""
    try:
        graph = frontend.parse(data, "mutant.onnx", "mutant")
        summarize(graph).to_dict()
        if float_model(graph):
            simplify(graph)
        else:
            pipeline.compile_graph(graph, "host")
    except IntaglioError as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("name", MODELS)
def test_mutated_bytes(name):
    data = MODELS[name]
    assert survives(data) == ""
    where = np.arange(len(data))
    mutants = ((i, test_mutants.mutate(data, where, np.random.default_rng([i, 1]))) for i in range(MUTANTS))
    ends = test_mutants.check(name, mutants, survives)
    assert ends[""] > 5, ends


@pytest.mark.parametrize("name", MODELS)
def test_mutated_fields(name):
    data = MODELS[name]
    mutants = ((i, mutate_fields(data, np.random.default_rng([i, 2]))) for i in range(MUTANTS))
    ends = test_mutants.check(name, mutants, survives)
    assert ends[""] > 5 and ends["ModelError"] > 10 and ends["UnsupportedError"] > 10, ends
