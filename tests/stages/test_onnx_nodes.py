"""The ONNX package's own cases, one node each: every one gives their numbers, or is refused by a typed error.

What are weights in practice (all inputs but the first) are constants here. Cases with a batch other than 1 are cut to
one of it where the operator leaves the batch alone, and onnxruntime says what is right.
"""

import numpy as np
import onnx
import onnx_models
import pytest
from onnx import numpy_helper
from onnx_idioms import in_memory_order, nhwc
from onnx_node_cases import CASES, OPSETS

from intaglio.errors import IntaglioError
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.frontends import onnx as frontend


def bound(case, batch):
    """The case's model with all inputs but the first as constants, and its first input; None where it has none."""
    model, given = onnx.ModelProto(), case.data_sets[0][0]
    model.CopyFrom(case.model)
    if not given or not all(isinstance(g, np.ndarray) for g in given):
        return None
    names = [i.name for i in model.graph.input]
    for name, value in list(zip(names, given, strict=False))[1:]:
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    del model.graph.input[1:]
    for o in model.opset_import:
        if not o.domain:
            o.version = min(o.version, OPSETS[-1])
    model.ir_version = min(model.ir_version, 10)
    x = given[0]
    if batch and x.ndim:
        x = x[:1]
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        for o in model.graph.output:
            o.type.tensor_type.ClearField("shape")
    return model.SerializeToString(), x


def outcome(case):
    """'right', or the reason of the refusal. Raises AssertionError for wrong numbers, and whatever else comes."""
    made = bound(case, False)
    if made is None:
        return "no inputs"
    data, x = made
    want = case.data_sets[0][1]
    try:
        graph = frontend.parse(data, "m.onnx", "m")
    except IntaglioError as error:
        if "its batch is" not in str(error):
            return str(error)
        data, x = bound(case, True)
        try:
            want = onnx_models.run(data, x)
        except Exception as refused:  # onnxruntime: the batch is in a constant as well
            return str(refused)
        try:
            graph = frontend.parse(data, "m.onnx", "m")
        except IntaglioError as again:
            return str(again)
    for g in (graph, simplify(graph)):
        for got, expected in zip(run_float(g, [nhwc(x)]), in_memory_order(g, want), strict=True):
            assert got.shape == expected.shape, case.name
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5, err_msg=case.name)
    return "right"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("op", sorted(CASES))
def test_cases(op):
    """No case of any operator crashes or is wrong; of the operators that are translated, some are right."""
    outcomes = {case.name: outcome(case) for case in CASES[op]}
    right = [name for name, said in outcomes.items() if said == "right"]
    assert right or op not in frontend.FLOAT or op in NEVER, outcomes


NEVER = {
    "Cast": "types other than float32", "CastLike": "types other than float32", "Einsum": "float64",
    "Expand": "the batch is repeated", "Tile": "the batch is repeated", "Pad": "other types, or pads that are computed",
    "LayerNormalization": "mean and deviation are outputs", "Shape": "the output is a constant",
    "Size": "the output is a constant", "Upsample": "operator set 9",
}  # fmt: skip
"""Operators whose cases are none that a Graph holds, and why."""


def test_every_operator_has_cases():
    assert set(frontend.FLOAT) <= set(CASES)
