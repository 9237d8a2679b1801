"""Sizes that a .tflite leaves open, as converters leave them and as nobody should: they fold away or are refused."""

from __future__ import annotations

from dataclasses import replace

import flatbuffers
import numpy as np
import pytest
from harness import act, compare, const, host_c, inputs_for, numpy_reference
from reading import AsWritten

from intaglio import models, oracle, pipeline
from intaglio.emit import tflite as writer
from intaglio.errors import ModelError, UnsupportedError
from intaglio.frontends.tflite import checked, parse
from intaglio.frontends.tflite_fold import FOLDS
from intaglio.graph import Graph, Node, Quant, Tensor
from intaglio.ops.add import Add
from intaglio.ops.assign_variable import AssignVariable
from intaglio.ops.base import TfliteOp
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.read_variable import ReadVariable
from intaglio.ops.reshape import Reshape
from intaglio.summary import summarize

schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
interpreter = pytest.importorskip("ai_edge_litert.interpreter")


def edited(data: bytes, change) -> bytes:
    """A file after `change(model)`, the model as LiteRT's own classes hold it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def opened(data: bytes, **shapes: list[int]) -> bytes:
    """The file with shape signatures; what is -1 there is declared as 1, as the converter does."""

    def change(model):
        for tensor in model.subgraphs[0].tensors:
            if tensor.name.decode() in shapes:
                tensor.shapeSignature = np.array(shapes[tensor.name.decode()], np.int32)
                pairs = zip(tensor.shapeSignature, tensor.shape, strict=False)
                tensor.shape = np.array([1 if s == -1 else d for s, d in pairs], np.int32)

    return edited(data, change)


class File:
    """A file put together operator by operator, sensible or not."""

    def __init__(self, *inputs: Tensor) -> None:
        self.tensors = {t.name: t for t in inputs}
        self.inputs = tuple(self.tensors)
        self.nodes: list[Node] = []

    def op(self, out: Tensor, builtin: str, *ins: str | np.ndarray, options: str = "", **fields) -> str:
        self.tensors[out.name] = out
        names = []
        for k, item in enumerate(ins):
            if isinstance(item, np.ndarray):
                names.append(f"{out.name}_c{k}")
                self.tensors[names[-1]] = const(names[-1], item)
            else:
                names.append(item)
        written = TfliteOp(builtin, tuple(names), options, fields)
        self.nodes.append(Node(out.name, AsWritten(written), tuple(names), (out.name,)))
        return out.name

    def add(self, out: Tensor, op, *ins: str) -> str:
        self.tensors[out.name] = out
        self.nodes.append(Node(out.name, op, ins, (out.name,)))
        return out.name

    def data(self, *outputs: str) -> bytes:
        return writer.write(Graph("case", tuple(self.nodes), dict(self.tensors), self.inputs, outputs))


def ints(name: str, *shape: int, dtype: str = "int32") -> Tensor:
    return Tensor(name, shape, dtype)


def floats(name: str, *shape: int) -> Tensor:
    return Tensor(name, shape, "float32")


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def scalar(value: int) -> np.ndarray:
    return np.array(value, np.int32)


def load(data: bytes) -> Graph:
    return checked(parse(data, "case", "case"), "case")


# ---- shape arithmetic -------------------------------------------------------------------------------------------


def batch_of(f: File, name: str, rank: int) -> str:
    """The batch of a tensor, as Keras takes it: SHAPE, and a STRIDED_SLICE that drops the dimension."""
    f.op(ints(f"{name}_shape", rank), "SHAPE", name, options="ShapeOptions", OutType=2)
    fields = {"options": "StridedSliceOptions", "ShrinkAxisMask": 1}
    return f.op(ints(f"{name}_n"), "STRIDED_SLICE", f"{name}_shape", array(0), array(1), array(1), **fields)


def reshape_to(f: File, x: str, shape: str, out: Tensor) -> str:
    return f.op(out, "RESHAPE", x, shape)


def keras_flatten(f: File) -> str:
    f.op(ints("to", 2), "PACK", batch_of(f, "x", 3), scalar(12), options="PackOptions", ValuesCount=2)
    return "to"


def gathered(f: File) -> str:
    """As Dense on more dimensions writes it: GATHER, REDUCE_PROD, PACK."""
    f.op(ints("shape", 3), "SHAPE", "x", options="ShapeOptions", OutType=2)
    f.op(ints("front", 2), "GATHER", "shape", array(0, 1), options="GatherOptions")
    f.op(ints("rows"), "REDUCE_PROD", "front", array(0), options="ReducerOptions")
    f.op(ints("last", 1), "GATHER", "shape", array(2), options="GatherOptions")
    f.op(ints("columns"), "REDUCE_PROD", "last", array(0), options="ReducerOptions")
    f.op(ints("to", 2), "PACK", "rows", "columns", options="PackOptions", ValuesCount=2)
    return "to"


def arithmetic(f: File) -> str:
    """3 * 4 of [n][3][4] by MUL, -1 by SUB, joined by CONCATENATION; all on vectors of one."""
    f.op(ints("shape", 3), "SHAPE", "x", options="ShapeOptions", OutType=2)
    for k, name in ((1, "h"), (2, "w")):
        f.op(ints(name, 1), "SLICE", "shape", array(k), array(1), options="SliceOptions")
    f.op(ints("area", 1), "MUL", "h", "w", options="MulOptions")
    f.op(ints("rest", 1), "SUB", array(2), array(3), options="SubOptions")
    f.op(ints("half", 1), "FLOOR_DIV", "area", array(1), options="FloorDivOptions")
    f.op(ints("to", 2), "CONCATENATION", "rest", "half", options="ConcatenationOptions", Axis=0)
    return "to"


def by_float(f: File) -> str:
    """Sizes scaled as floats, as upsampling layers do, and chosen by a comparison: CAST, MUL, GREATER, SELECT_V2."""
    f.op(ints("shape", 3), "SHAPE", "x", options="ShapeOptions", OutType=2)
    f.op(floats("real", 3), "CAST", "shape", options="CastOptions", InDataType=2, OutDataType=0)
    f.op(floats("twice", 3), "MUL", "real", np.array([1, 4, 0], np.float32), options="MulOptions")
    f.op(ints("whole", 3), "CAST", "twice", options="CastOptions", InDataType=0, OutDataType=2)
    f.op(ints("two", 2), "STRIDED_SLICE", "whole", array(0), array(2), array(1), options="StridedSliceOptions")
    f.op(ints("to", 2), "MAXIMUM", "two", array(0, 1), options="MaximumMinimumOptions")
    return "to"


def filled(f: File) -> str:
    """FILL, RANGE, TILE, EXPAND_DIMS, ADD: [0, 1] + [1, 11]."""
    f.op(ints("ones", 1), "FILL", array(1), scalar(1), options="FillOptions")
    f.op(ints("eleven", 1), "TILE", array(11), array(1))
    f.op(ints("more", 2), "CONCATENATION", "ones", "eleven", options="ConcatenationOptions", Axis=0)
    f.op(ints("count", 2), "RANGE", scalar(0), scalar(2), scalar(1), options="RangeOptions")
    f.op(ints("to", 2), "ADD", "count", "more", options="AddOptions")
    return "to"


@pytest.mark.parametrize(
    ("shape_of", "wanted"),
    [(keras_flatten, (1, 12)), (gathered, (3, 4)), (arithmetic, (1, 12)), (by_float, (1, 12)), (filled, (1, 12))],
)
@pytest.mark.parametrize("open_batch", [False, True])
def test_a_computed_shape_folds(shape_of, wanted, open_batch):
    f = File(act(None, "x", (1, 3, 4), "int8", 0.1, 3))
    data = f.data(reshape_to(f, "x", shape_of(f), act(None, "y", wanted, "int8", 0.1, 3)))
    if open_batch:
        data = opened(data, x=[-1, 3, 4], y=[-1, -1])
    graph = load(data)
    assert [n.op for n in graph.nodes] == [Reshape(wanted)]
    assert graph.tensors["y"].shape == wanted


def test_sizes_that_are_open_inside_follow_from_the_operators():
    """[n * 3][4] declared as [1][4]: three rows go through the ADD, as LiteRT runs it, and not one."""
    f = File(act(None, "x", (1, 3, 4), "int8", 0.1, 3))
    reshape_to(f, "x", gathered(f), act(None, "flat", (3, 4), "int8", 0.1, 3))
    f.add(act(None, "y", (3, 4), "int8", 0.2, 0), Add(), "flat", "flat")
    graph = load(opened(f.data("y"), x=[-1, 3, 4], flat=[-1, 4], y=[-1, 4]))
    assert graph.tensors["y"].shape == (3, 4)


def test_what_is_not_open_is_still_held_to():
    f = File(act(None, "x", (1, 3, 4), "int8", 0.1, 3))
    f.add(act(None, "y", (1, 3, 4), "int8", 0.2, 0), Add(), "x", "x")

    def change(model):
        [y] = [t for t in model.subgraphs[0].tensors if t.name == b"y"]
        y.shape, y.shapeSignature = np.array([1, 3, 5], np.int32), np.array([-1, 3, 5], np.int32)

    with pytest.raises(UnsupportedError, match="declared"):
        load(edited(f.data("y"), change))


@pytest.mark.parametrize("shape", [[-1, -1, 4], [1, -1, 4]])
def test_an_input_of_open_size_says_how_to_convert(shape):
    f = File(act(None, "x", (1, 3, 4), "int8", 0.1, 3))
    data = f.data(reshape_to(f, "x", keras_flatten(f), act(None, "y", (1, 12), "int8", 0.1, 3)))
    with pytest.raises(UnsupportedError, match="batch_size=1") as caught:
        load(opened(data, x=shape))
    assert "dynamic shape" in str(caught.value)


def test_a_shape_that_depends_on_data_says_how_to_convert():
    f = File(act(None, "x", (1, 12), "int8", 0.1, 3), ints("n", 2))
    with pytest.raises(UnsupportedError, match="computed at run time; convert with batch_size=1"):
        load(f.data(reshape_to(f, "x", "n", act(None, "y", (1, 12), "int8", 0.1, 3))))
    f = File(act(None, "x", (1, 12), "int8", 0.1, 3), ints("n", 2))
    f.op(ints("m", 2), "RANGE", "n", "n", "n", options="RangeOptions")
    with pytest.raises(UnsupportedError, match="works out a shape while the model runs; convert with batch_size=1"):
        load(f.data(reshape_to(f, "x", "m", act(None, "y", (1, 12), "int8", 0.1, 3))))


def test_unknown_shapes_behind_an_unsupported_operator_are_no_second_problem():
    f = File(floats("x", 1, 3, 4))
    f.op(floats("strange", 3, 4), "WHERE", "x")
    f.op(ints("shape", 2), "SHAPE", "strange", options="ShapeOptions", OutType=2)
    data = f.data(reshape_to(f, "strange", "shape", floats("y", 3, 4)))
    problems = summarize(parse(opened(data, strange=[-1, -1], y=[-1, -1]), "case", "case")).problems
    assert len(problems) == 1 and problems[0].startswith("WHERE")


# ---- hostile files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("builtin", "ins", "options", "fields"),
    [
        ("FILL", [array(60000, 60000, 9), scalar(0)], "FillOptions", {}),
        ("FILL", [array(-5, 7), scalar(0)], "FillOptions", {}),
        ("RANGE", [scalar(0), scalar(2**31 - 1), scalar(1)], "RangeOptions", {}),
        ("RANGE", [scalar(0), scalar(5), scalar(0)], "RangeOptions", {}),
        ("TILE", [array(1, 2), array(2**30)], "", {}),
        ("BROADCAST_TO", [array(1), array(50000, 50000)], "BroadcastToOptions", {}),
        ("GATHER", [array(1, 2), array(2)], "GatherOptions", {}),
        ("GATHER", [array(1, 2), array(0)], "GatherOptions", {"Axis": 4}),
        ("DIV", [array(1), array(0)], "DivOptions", {}),
        ("FLOOR_MOD", [array(1, 2), array(1, 2, 3)], "FloorModOptions", {}),
        ("REDUCE_PROD", [array(1), array(9)], "ReducerOptions", {}),
        ("PACK", [array(1), array(1, 2)], "PackOptions", {"ValuesCount": 2}),
        ("SLICE", [array(1, 2), array(1), array(9)], "SliceOptions", {}),
    ],
)
def test_nonsense_on_constants_is_a_typed_error(builtin, ins, options, fields):
    f = File(act(None, "x", (1, 12), "int8", 0.1, 3))
    f.op(ints("to", 2), builtin, *ins, options=options, **fields)
    with pytest.raises((ModelError, UnsupportedError)):
        load(f.data(reshape_to(f, "x", "to", act(None, "y", (1, 12), "int8", 0.1, 3))))


def test_constants_cannot_grow_without_end():
    f = File(act(None, "x", (1, 12), "int8", 0.1, 3))
    f.op(ints("c0", 1024), "FILL", array(1024), scalar(1), options="FillOptions")
    for k in range(40):
        joined = ints(f"c{k + 1}", 1024 << (k + 1)) if k < 10 else ints(f"c{k + 1}", 1)
        f.op(joined, "CONCATENATION", f"c{k}", f"c{k}", options="ConcatenationOptions", Axis=0)
    f.op(act(None, "y", (1, 12), "int8", 0.1, 3), "RESHAPE", "x", array(1, 12))
    with pytest.raises((ModelError, UnsupportedError)):
        load(f.data("y"))


@pytest.mark.parametrize("signature", [[-1], [-1, 3, 4, 5], [-1, 3, -7], [0, 0, 0]])
def test_signatures_that_make_no_sense(signature):
    f = File(act(None, "x", (1, 3, 4), "int8", 0.1, 3))
    data = f.data(f.op(act(None, "y", (1, 12), "int8", 0.1, 3), "RESHAPE", "x", array(1, 12)))

    def change(model):
        model.subgraphs[0].tensors[0].shapeSignature = np.array(signature, np.int32)

    try:
        load(edited(data, change))
    except (ModelError, UnsupportedError):
        return
    # What is not -1 in a signature says nothing that the shape does not.
    assert -1 not in signature[1:] and len(signature) == 3


def test_an_input_cannot_be_folded_away():
    f = File(act(None, "x", (1, 2), "int8", 0.1, 3), ints("n", 2))
    f.op(ints("m", 2), "SHAPE", "x", options="ShapeOptions", OutType=2)

    def change(model):
        main = model.subgraphs[0]
        main.operators[0].outputs = main.outputs = main.inputs[1:]

    with pytest.raises(ModelError, match="an input is written"):
        load(edited(f.data("m"), change))


# ---- dilated convolutions ---------------------------------------------------------------------------------------


def dilated(rng, dtype=None, line=False, depthwise=False):
    """SPACE_TO_BATCH_ND, a convolution, BATCH_TO_SPACE_ND over random sizes: the file, and its open sizes."""
    dtype = dtype or str(rng.choice(["int8", "float32"]))
    kernel = (1, int(rng.integers(1, 4))) if line else tuple(int(k) for k in rng.integers(1, 4, 2))
    block = (1, int(rng.integers(1, 4))) if line else tuple(int(b) for b in rng.integers(1, 4, 2))
    same = bool(rng.random() < 0.3)
    sides, crops, size, grid = [], [], [], []
    for k, b in zip(kernel, block, strict=True):
        while True:
            d = 1 if line and not size else int(rng.integers(1, 12))
            before, after = (0, 0) if line and not size else (int(v) for v in rng.integers(0, 5, 2))
            g = (d + before + after) // b
            out = (g if same else g - k + 1) * b
            if (d + before + after) % b == 0 and out > 0 and (not line or size or b == 1):
                break
        off = int(rng.integers(0, before + 1)) if out > before else 0
        # No more is cropped behind than was padded there.
        off_after = int(rng.integers(0, min(after, out - off - 1) + 1))
        size.append(d)
        sides.append((before, after))
        crops.append((off, off_after))
        grid.append((g, out // b, out - off - off_after))
    n, c = block[0] * block[1], int(rng.integers(1, 4))
    out_c = c * int(rng.integers(1, 3)) if depthwise else int(rng.integers(1, 5))
    x = act(rng, "x", (1, *size, c), dtype)
    tail = slice(1, None) if line else slice(None)
    shape = lambda t, name, first, dims, ch: replace(t, name=name, shape=(first, *dims[tail], ch))  # noqa: E731
    x = shape(x, "x", 1, size, c)
    y4 = act(rng, "conv", (n, *(g[1] for g in grid), out_c), dtype)
    w_shape = (1, *kernel, out_c) if depthwise else (out_c, *kernel, c)
    if dtype == "float32":
        weights = const("w", rng.normal(0, 1, w_shape).astype(np.float32))
    else:
        scales = tuple(float(np.float32(s)) for s in rng.uniform(0.005, 0.05, out_c))
        axis = (3 if depthwise else 0) if out_c > 1 else None
        weights = const("w", rng.integers(-127, 128, w_shape).astype(np.int8), Quant(scales, (0,) * out_c, axis))
    f = File(x)
    f.tensors["w"] = weights
    blocks, padded, cropped = (np.array(v[tail], np.int32) for v in (list(block), sides, crops))
    f.op(shape(x, "in", n, [g[0] for g in grid], c), "SPACE_TO_BATCH_ND", "x", blocks, padded)
    inside = "in"
    if line:
        inside = f.op(replace(x, name="in4", shape=(n, 1, grid[1][0], c)), "EXPAND_DIMS", "in", scalar(-3))
    pads = (0, 0, 0, 0)
    if same:
        total = [k - 1 for k in kernel]
        pads = (total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2)
    bias = rng.integers(-1000, 1000, out_c)
    f.tensors["b"] = const("b", bias.astype(np.float32) / 1000 if dtype == "float32" else bias.astype(np.int32))
    f.add(y4, (DepthwiseConv2D if depthwise else Conv2D)((1, 1), (1, 1), pads), inside, "w", "b")
    outside = "conv"
    if line:
        wanted = array(-1, grid[1][1], out_c)
        outside = f.op(replace(y4, name="conv3", shape=(n, grid[1][1], out_c)), "RESHAPE", "conv", wanted)
    f.op(shape(y4, "y", 1, [g[2] for g in grid], out_c), "BATCH_TO_SPACE_ND", outside, blocks, cropped)
    left = {t.name: [-1, *t.shape[1:]] for t in f.tensors.values() if not t.is_const}
    return f.data("y"), left


def litert_reference(data: bytes, xs: list[np.ndarray]) -> np.ndarray:
    resolver = interpreter.OpResolverType.BUILTIN_REF
    runtime = interpreter.Interpreter(model_content=data, experimental_op_resolver_type=resolver)
    runtime.allocate_tensors()
    found = []
    for x in xs:
        runtime.set_tensor(runtime.get_input_details()[0]["index"], x)
        runtime.invoke()
        found.append(runtime.get_tensor(runtime.get_output_details()[0]["index"]))
    return np.stack(found)


@pytest.mark.parametrize("line", [False, True])
@pytest.mark.parametrize("depthwise", [False, True])
def test_dilated_convolutions_match_litert(line, depthwise):
    """LiteRT's reference kernels run the file with its batches as they are; left open, it is the same convolution.
    The wheel is no judge here: its SPACE_TO_BATCH_ND pads int8 with what happens to lie in memory."""
    graphs, feeds, judged = [], [], []
    for i in range(40):
        rng = np.random.default_rng([1, line, depthwise, i])
        data, left = dilated(rng, line=line, depthwise=depthwise)
        graph = replace(load(opened(data, **left)), name=f"case_{i}")
        assert {n.op.name for n in graph.nodes} <= {"reshape", "depthwise_conv2d" if depthwise else "conv2d"}
        assert pipeline.lower(load(data)).macs() == pipeline.lower(graph).macs()
        rows = inputs_for(graph, rng, random=2)
        found = litert_reference(data, [r[0] for r in rows])
        if graph.tensors["x"].dtype == "float32":
            want = np.stack([r[0] for r in numpy_reference(graph, rows)])
            assert np.allclose(found, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())
            continue
        graphs.append(graph)
        feeds.append(rows)
        judged.append([[f] for f in found])
    assert len(graphs) > 10
    expected = [numpy_reference(g, rows) for g, rows in zip(graphs, feeds, strict=True)]
    compare("LiteRT", graphs, feeds, expected, judged, 1)
    compare("host C", graphs, feeds, expected, host_c(graphs, feeds), 1)


def chain(stride=(1, 1), crops=((0, 0), (0, 0)), out=(1, 4, 4, 2), other=False, blocks=(2, 2), scale=0.1):
    f = File(act(None, "x", (1, 6, 6, 1), "int8", 0.1, 3))
    f.tensors["w"] = const("w", np.ones((2, 2, 2, 1), np.int8), Quant((0.1,), (0,)))
    none = np.zeros((2, 2), np.int32)
    f.op(act(None, "in", (4, 3, 3, 1), "int8", scale, 3), "SPACE_TO_BATCH_ND", "x", array(2, 2), none)
    conv = Conv2D(stride)
    shape = (4, *((3 - 2) // s + 1 for s in stride), 2)
    f.add(act(None, "conv", shape, "int8", 0.1, 3), conv, "in", "w")
    f.op(act(None, "y", out, "int8", 0.1, 3), "BATCH_TO_SPACE_ND", "conv", array(*blocks), np.array(crops, np.int32))
    return f.data(*(("y", "conv") if other else ("y",)))


@pytest.mark.parametrize(
    "change",
    [
        {"stride": (2, 2), "out": (1, 2, 2, 2)},
        {"crops": ((1, 0), (0, 0)), "out": (1, 3, 4, 2)},  # would need a negative padding
        {"other": True},
        {"blocks": (4, 1), "out": (1, 8, 2, 2)},
        {"scale": 0.2},
    ],
)
def test_what_is_no_dilated_convolution_is_refused_by_name(change):
    assert len(load(chain()).nodes) == 1
    with pytest.raises(UnsupportedError) as caught:
        load(chain(**change))
    assert "SPACE_TO_BATCH_ND" in str(caught.value) and "it stays" in str(caught.value)


@pytest.mark.parametrize(
    ("block", "sides"),
    [((0, 2), (0, 0, 0, 0)), ((2, 2), (-1, 1, 0, 0)), ((2,), (0, 0, 0, 0)), ((2, 2, 2, 2), (0,) * 8),
     ((70000, 2), (0, 0, 0, 0)), ((4, 4), (0, 0, 0, 0))],
)  # fmt: skip
def test_blocks_that_make_no_sense(block, sides):
    f = File(act(None, "x", (1, 6, 6, 1), "int8", 0.1, 3))
    data = f.data(f.op(act(None, "y", (4, 3, 3, 1), "int8", 0.1, 3), "SPACE_TO_BATCH_ND", "x", array(*block),
                       array(*sides)))  # fmt: skip
    with pytest.raises(UnsupportedError, match="SPACE_TO_BATCH_ND"):
        load(data)


# ---- old converters and other exporters -------------------------------------------------------------------------


def conv_data() -> bytes:
    rng = np.random.default_rng(4)
    f = File(act(rng, "x", (1, 5, 5, 3), "int8", 0.1, 3))
    f.tensors["w"] = const("w", rng.integers(-9, 9, (4, 2, 2, 3)).astype(np.int8), Quant((0.1,) * 4, (0,) * 4, 0))
    f.tensors["b"] = const("b", rng.integers(-9, 9, 4).astype(np.int32), Quant((0.01,) * 4, (0,) * 4, 0))
    f.add(act(rng, "y", (1, 4, 4, 4), "int8", 0.2, 3), Conv2D(), "x", "w", "b")
    return f.data("y")


def quantization(data: bytes, name: str, change) -> bytes:
    def edit(model):
        [tensor] = [t for t in model.subgraphs[0].tensors if t.name == name.encode()]
        change(tensor.quantization)

    return edited(data, edit)


def test_a_bias_with_scales_along_the_dimension_of_its_weights():
    """As in TFLM's person_detect. So are one zero point for all scales, and a dimension that only one can be."""

    def along(axis):
        return lambda q: setattr(q, "quantizedDimension", axis)

    plain = load(conv_data())
    odd = quantization(conv_data(), "b", along(3))
    odd = quantization(odd, "w", lambda q: setattr(q, "zeroPoint", np.zeros(1, np.int64)))
    found = load(odd)
    assert found.tensors["b"].quant == plain.tensors["b"].quant and found.tensors["w"].quant == plain.tensors["w"].quant
    x = [np.random.default_rng(5).integers(-128, 128, (4, 1, 5, 5, 3)).astype(np.int8)]
    rows = [[v] for v in x[0]]
    compare("oracle", [found], [rows], [numpy_reference(found, rows)], [[[v] for v in oracle.run(odd, x)[0]]], 5)
    assert load(quantization(conv_data(), "w", along(9))).tensors["w"].quant.axis == 0


def test_scales_that_could_lie_along_two_dimensions_are_refused():
    def change(q):
        q.scale, q.zeroPoint, q.quantizedDimension = np.full(2, 0.1, np.float32), np.zeros(2, np.int64), 3

    with pytest.raises(ModelError, match="2 scales along dimension 3"):
        load(quantization(conv_data(), "w", change))


def test_further_signatures_are_noted():
    def change(model):
        model.subgraphs.append(model.subgraphs[0])
        model.signatureDefs = []
        for k, key in enumerate(("serve", "train")):
            one = schema.SignatureDefT()
            one.signatureKey, one.subgraphIndex, one.inputs, one.outputs = key, k, [], []
            model.signatureDefs.append(one)

    graph = load(edited(conv_data(), change))
    assert [n for n in graph.notes if "serve" in n and "left out: train" in n]
    assert load(conv_data()).notes == ()


def test_state_of_a_refused_operator_is_no_further_problem():
    """LSTM and SVDF keep state in variable tensors, which nothing writes first."""
    f = File(floats("x", 1, 4))
    f.tensors["memory"] = const("memory", np.zeros((1, 6), np.float32))
    f.op(floats("y", 1, 4), "SVDF", "x", np.ones((4, 4), np.float32), np.ones((4, 3), np.float32), "memory",
         options="SVDFOptions", Rank=1)  # fmt: skip

    def change(model):
        for tensor in model.subgraphs[0].tensors:
            if tensor.name == b"memory":
                tensor.isVariable, tensor.buffer = True, 0

    summary = summarize(parse(edited(f.data("y"), change), "case", "case"))
    assert summary.problems == ["SVDF (y): no such operator in intaglio"] and summary.kind == "float"


def test_inspect_calls_a_refused_float_model_float(tmp_path):
    f = File(floats("x", 1, 3), ints("n", 2))
    f.op(ints("m", 2), "GATHER", "n", array(0, 1), options="GatherOptions")
    path = tmp_path / "case.tflite"
    path.write_bytes(f.data(reshape_to(f, "x", "m", floats("y", 1, 3))))
    summary = summarize(models.shown(path))
    assert summary.problems and summary.kind == "float"


@pytest.mark.parametrize(("dtype", "zeros", "begins"), [
    ("int8", (-7,), -7), ("int8", (-7, 9), -7), ("int8", (9, -7), 9), ("int8", (), 0), ("int16", (0,), 0),
])  # fmt: skip
def test_a_variable_without_call_once_begins_as_in_the_wheel(dtype, zeros, begins):
    """With the zero point of what is assigned to it first, whatever that of what is read from it."""
    f = File(act(None, "x", (1, 4), dtype, 0.5, 0))
    f.tensors["state:v"] = Tensor("state:v", (1, 4), dtype, Quant((0.5,), (0,)), np.zeros((1, 4), dtype), True)
    f.add(act(None, "read", (1, 4), dtype, 0.5, 3 if dtype == "int8" else 0), ReadVariable(), "state:v")
    f.add(act(None, "y", (1, 4), dtype, 0.5, 3 if dtype == "int8" else 0), Reshape((1, 4)), "read")
    for k, zero in enumerate(zeros):
        f.add(act(None, f"q{k}", (1, 4), dtype, 0.5, zero), Reshape((1, 4)), "x")
        f.nodes.append(Node(f"assign{k}", AssignVariable(), (f"q{k}", "state:v"), ()))

    def change(model):
        codes = [c.builtinCode for c in model.operatorCodes]
        main = model.subgraphs[0]
        main.operators = [o for o in main.operators if codes[o.opcodeIndex] != schema.BuiltinOperator.CALL_ONCE]

    data = edited(f.data("y"), change)
    graph = load(data)
    rows = [[np.full((1, 4), k + 1, dtype)] for k in range(3)]
    [judged] = oracle.run(data, [np.stack([r[0] for r in rows])])
    expected = numpy_reference(graph, rows)
    assert expected[0][0].tolist() == [[begins] * 4]
    compare("oracle", [graph], [rows], [expected], [[[j] for j in judged]], 0)


def test_the_first_select_chooses_rows():
    """As TFLite's SELECT does for a condition of rank 1; SELECT_V2 broadcasts."""
    condition, a = np.array([True, False]), np.array([[1, 2], [3, 4]], np.int32)
    assert FOLDS["SELECT"](None, [condition, a, -a]).tolist() == [[1, 2], [-3, -4]]
    assert FOLDS["SELECT_V2"](None, [condition, a, -a]).tolist() == [[1, -2], [3, -4]]
