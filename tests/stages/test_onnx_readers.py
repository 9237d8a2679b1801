"""ONNX: tensors that several nodes read in different ways, constants that run along what their rank says, and pads."""

import numpy as np
import onnx
import onnx_models
import pytest
from onnx import TensorProto
from onnx_idioms import check_float, int8_rows, nhwc
from onnx_models import build, node, rng_array

from intaglio import interpret
from intaglio.errors import UnsupportedError
from intaglio.frontends import onnx as frontend

GRIDS = {"even": (0.05, 0), "positive": (0.05, -128), "wide": (0.1, 0)}
"""Scale and zero point. Half of what a convolution gives does not fit `positive`."""
SHAPE = [1, 4, 4, 4]


def rounded(name, grid, to=""):
    """`name` on a grid, as `to` or as `name_grid`."""
    to = to or f"{name}_{grid}"
    return [node("QuantizeLinear", f"{name} {grid}_s {grid}_z", f"{to}_q"),
            node("DequantizeLinear", f"{to}_q {grid}_s {grid}_z", to)]  # fmt: skip


CONV = [node("DequantizeLinear", "w_q w_s w_z", "w"), *rounded("x", "even"), node("Conv", "x_even w", "c")]


def quantized(nodes, outputs=("y",), constants=None, kind=TensorProto.FLOAT):
    known = {f"{k}_s": np.float32(s) for k, (s, _) in GRIDS.items()}
    known |= {f"{k}_z": np.int8(z) for k, (_, z) in GRIDS.items()}
    weights = np.random.default_rng(1).integers(-100, 101, (4, 4, 1, 1)).astype(np.int8)
    known |= {"w_q": weights, "w_s": np.float32(0.0213), "w_z": np.int8(0), **(constants or {})}
    data = onnx.load_model_from_string(build(nodes, {"x": (SHAPE, kind)}, {}, known))
    data.graph.output.extend(onnx.helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs)
    return data.SerializeToString()


def agrees(data):
    """Within a step of onnxruntime, for inputs on the grid of the int8 input; returns the Graph."""
    graph = frontend.parse(data, "m.onnx", "m")
    t = graph.tensors[graph.inputs[0]]
    for [row] in int8_rows(graph, rng_array(2, 8, *SHAPE[1:]) * 3):
        x = ((row.astype(np.float32) - t.zero_point) * np.float32(t.scale)).transpose(0, 3, 1, 2)
        want = onnx_models.run(data, np.ascontiguousarray(x), exact=True)
        for name, got, expected in zip(graph.outputs, interpret.step(graph, [row], {})[0], want, strict=True):
            out = graph.tensors[name]
            got = (got.astype(np.float64) - out.zero_point) * out.scale
            assert np.abs(got - nhwc(expected)).max() <= 1.01 * out.scale
    return graph


TWO_WAYS = {
    "two_grids": quantized([*CONV, *rounded("c", "positive"), *rounded("c", "wide"),
                            node("Add", "c_positive c_wide", "a"), *rounded("a", "wide", "y")]),
    "also_raw": quantized([*CONV, *rounded("c", "positive"), node("Add", "c_positive c", "a"),
                           *rounded("a", "wide", "y")]),
    "raw_output": quantized([*CONV, *rounded("c", "positive", "y")], ("y", "c")),
    "raw_by_another_name": quantized([*CONV, *rounded("c", "positive"), node("Identity", "c", "i"),
                                      node("Add", "c_positive i", "a"), *rounded("a", "wide", "y")]),
    "raw_and_moved": quantized([*CONV, node("Reshape", "c shape", "r"), *rounded("r", "positive", "z"),
                                node("Add", "c c", "a"), *rounded("a", "wide", "y")], ("y", "z"),
                               {"shape": np.array([1, 4, 16])}),
    "moved_to_two_grids": quantized(
        [*CONV, node("Flatten", "c", "f"), *rounded("f", "positive", "y"),
         node("Transpose", "c", "t", perm=[0, 2, 3, 1]), *rounded("t", "wide", "z")], ("y", "z")),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO_WAYS)
def test_a_tensor_is_read_on_one_grid(name):
    with pytest.raises(UnsupportedError, match=r"- c: ") as e:
        frontend.parse(TWO_WAYS[name], "m.onnx", "m")
    assert len(e.value.problems) == 1
    assert ("same QuantizeLinear" in str(e.value)) == (name != "raw_and_moved")


def test_an_input_has_one_grid():
    """It may be read as it is too: what is given in int8 is on its grid."""
    both = [node("DequantizeLinear", "w_q w_s w_z", "w"), *rounded("x", "positive"), node("Conv", "x_positive w", "c"),
            *rounded("c", "wide", "y"), node("Conv", "x w", "d"), *rounded("d", "even", "z")]  # fmt: skip
    assert agrees(quantized(both, ("y", "z"))).tensors["x"].zero_point == -128
    two = [*rounded("x", "positive"), *rounded("x", "wide"), node("Add", "x_positive x_wide", "a"),
           *rounded("a", "wide", "y")]  # fmt: skip
    with pytest.raises(UnsupportedError, match=r"- x: it is read through a QuantizeLinear"):
        frontend.parse(quantized(two), "m.onnx", "m")


def test_integers_mean_one_thing():
    nodes = [node("DequantizeLinear", "x even_s even_z", "a"), node("MaxPool", "x", "p", kernel_shape=[1, 1]),
             node("DequantizeLinear", "p wide_s wide_z", "b"), node("Add", "a b", "c"),
             *rounded("c", "wide", "y")]  # fmt: skip
    for order in (nodes, [*nodes[1:3], nodes[0], *nodes[3:]]):
        with pytest.raises(UnsupportedError, match="read with two scales or zero points"):
            frontend.parse(quantized(order, kind=TensorProto.INT8), "m.onnx", "m")


def test_one_grid_for_each_reader():
    """A pair of QuantizeLinear and DequantizeLinear for each reader, some of them behind a Reshape."""
    nodes = [*CONV, *rounded("c", "wide"), *rounded("c", "wide", "again"), node("Reshape", "c shape", "r"),
             *rounded("r", "wide"), node("Reshape", "r_wide back", "b"), node("Relu", "c_wide", "s"),
             *rounded("s", "wide", "y"), node("Max", "again k", "m"), *rounded("m", "wide", "z")]  # fmt: skip
    constants = {"shape": np.array([1, 4, 16]), "back": np.array(SHAPE), "k": np.float32(-1)}
    graph = agrees(quantized(nodes, ("y", "z", "b"), constants))
    assert not any(n.op.name == "quantize" for n in graph.nodes)


def test_rounded_twice():
    """What has been rounded, and perhaps moved then, is read as it is and rounded again."""
    nodes = [*CONV, *rounded("c", "positive"), node("MaxPool", "c_positive", "p", kernel_shape=[2, 2]),
             *rounded("p", "wide", "y"), *rounded("c_positive", "wide", "z")]  # fmt: skip
    graph = agrees(quantized(nodes, ("y", "z", "p")))
    assert [graph.tensors[n].scale for n in graph.outputs] == [np.float32(v) for v in (0.1, 0.1, 0.05)]


def grouped(scale, offset):
    """A group normalization as exporters spell it out, of (1, 8, 8, 8), with what follows it."""
    nodes = [node("Reshape", "x s", "a"), node("InstanceNormalization", "a one zero", "b"), node("Reshape", "b t", "c"),
             node("Mul", "c scale", "d"), node("Add", "d offset", "y")]  # fmt: skip
    constants = {"s": np.array([0, 2, -1]), "t": np.array([1, 8, 8, 8]), "one": np.ones(2, np.float32),
                 "zero": np.zeros(2, np.float32), "scale": scale, "offset": offset}  # fmt: skip
    return build(nodes, {"x": [1, 8, 8, 8]}, {"y": [1, 8, 8, 8]}, constants)


@pytest.mark.parametrize("shapes", [((8, 1, 1), (8, 1, 1)), ((8, 1), (8, 1)), ((8, 1, 1), (8, 1)), ((8, 1), (8, 1, 1))])
def test_group_norm_is_scaled_along_its_rank(shapes):
    scale, offset = (rng_array(k, *s) for k, s in enumerate(shapes))
    check_float(grouped(scale, offset), rng_array(3, 1, 8, 8, 8))


@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4), (1, 1), (4, 1), (4, 4)])
def test_gemm_adds_along_its_rank(shape):
    """On four rows, and four outputs."""
    nodes = [node("Reshape", "x s", "a"), node("Gemm", "a w c", "y", beta=0.5)]
    constants = {"s": np.array([4, 3]), "w": rng_array(1, 3, 4), "c": rng_array(2, *shape)}
    graph = check_float(build(nodes, {"x": [1, 12]}, {"y": [4, 4]}, constants), rng_array(3, 1, 12))
    assert sum(n.op.name == "add" for n in graph.nodes) == (shape in ((4, 1), (4, 4)))


def test_gemm_adds_what_fits():
    nodes = [node("Gemm", "x w c", "y")]
    for shape in ((3, 4), (2, 1, 4), (3,)):
        data = build(nodes, {"x": [1, 3]}, {"y": [1, 4]}, {"w": rng_array(1, 3, 4), "c": rng_array(2, *shape)})
        with pytest.raises(UnsupportedError, match="does not fit its result"):
            frontend.parse(data, "m.onnx", "m")


@pytest.mark.parametrize("sizes", [(1, 2, 4), (1, 2, 5), (2, 3, 6), (2, 3, 7), (1, 3, 8), (3, 2, 6)])
@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_same_average_pool(sizes, auto):
    """Kernels smaller than their stride among them."""
    kernel, stride, size = sizes
    pool = node("AveragePool", "x", "y", kernel_shape=[kernel] * 2, strides=[stride] * 2, auto_pad=auto)
    data = build([pool], {"x": [1, 2, size, size]}, {"y": [1, 2, None, None]}, opset=19)
    check_float(data, rng_array(1, 1, 2, size, size))


@pytest.mark.parametrize(("kernel", "stride", "size"), [(1, 3, 6), (2, 4, 8), (2, 5, 9)])
def test_same_pools_that_leave_out_pixels(kernel, stride, size):
    """The specification pads by a negative number there; onnxruntime begins inside the input, or refuses."""
    for op in ("AveragePool", "MaxPool"):
        pool = node(op, "x", "y", kernel_shape=[kernel] * 2, strides=[stride] * 2, auto_pad="SAME_UPPER")
        with pytest.raises(UnsupportedError, match="leaves out pixels"):
            frontend.parse(build([pool], {"x": [1, 2, size, size]}, {"y": [1, 2, None, None]}), "m.onnx", "m")
