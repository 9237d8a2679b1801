"""STRIDED_SLICE and SLICE against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.strided_slice import case
from floats import check_forward
from harness import act, check_cases
from reading import AsWritten, check_written, refusal

from intaglio.emit import tflite as writer
from intaglio.frontends import tflite as reader
from intaglio.graph import Graph, Node
from intaglio.ops.base import TfliteOp
from intaglio.ops.strided_slice import ALL, StridedSlice


def test_matches_oracle():
    check_cases(case, 220)


def read(x, out, written):
    node = Node("node", AsWritten(written), ("x",), ("y",))
    data = writer.write(Graph("case", (node,), {"x": x, "y": out}, ("x",), ("y",)))
    return data, reader.parse(data, "case.tflite", "case")


def masked(rng):
    """Any begin, end, stride and masks; the shape by NumPy's rules, which are TensorFlow's."""
    rank = int(rng.integers(1, 4))
    shape = [int(d) for d in rng.integers(1, 6, rank)]
    begin, end, stride = (rng.integers(-7, 8, rank) for _ in range(3))
    stride = np.where(stride == 0, 1, np.clip(stride, -3, 3))
    begin_mask, end_mask, shrink_mask = (int(v) for v in rng.integers(0, 1 << rank, 3))
    index = []
    for d in range(rank):
        first = None if begin_mask >> d & 1 else int(begin[d])
        if shrink_mask >> d & 1:
            stride[d] = 1
            if first is not None:
                begin[d] = first = int(rng.integers(-shape[d], shape[d]))
            index.append(first or 0)
        else:
            index.append(slice(first, None if end_mask >> d & 1 else int(end[d]), int(stride[d])))
    written = TfliteOp(
        "STRIDED_SLICE", ("x", *(v.astype(np.int32) for v in (begin, end, stride))), "StridedSliceOptions",
        {"BeginMask": begin_mask, "EndMask": end_mask, "ShrinkAxisMask": shrink_mask},
    )  # fmt: skip
    return shape, tuple(index), written


def test_masks_and_negative_indices_mean_what_the_oracle_says():
    from tflite_micro.python.tflite_micro import runtime

    judged = 0
    for i in range(300):
        rng = np.random.default_rng([7, i])
        shape, index, written = masked(rng)
        data = rng.integers(-128, 128, shape).astype(np.int8)
        wanted = data[index]
        if wanted.size == 0:
            continue
        x = act(rng, "x", shape, "int8", 0.1, 3)
        file, graph = read(x, replace(x, name="y", shape=wanted.shape), written)
        op = graph.nodes[0].op
        assert isinstance(op, StridedSlice), f"case {i}: {op}"
        found = op.reference([data], graph.ins(graph.nodes[0]), graph.outs(graph.nodes[0]))[0]
        interpreter = runtime.Interpreter.from_bytes(file, arena_size=100_000)
        interpreter.set_input(data, 0)
        interpreter.invoke()
        assert np.array_equal(found, wanted) and np.array_equal(interpreter.get_output(0), wanted), f"case {i}"
        judged += 1
    assert judged > 100


@pytest.mark.parametrize(
    ("values", "fields", "reason"),
    [
        (([0], [3], [0]), {}, "stride"),
        (([0], [0], [1]), {}, "takes nothing"),
        (([9], [10], [1]), {"ShrinkAxisMask": 1}, "index 9 of 5"),
        (([0], [3], [1]), {"EllipsisMask": 1}, "ellipsis"),
        (([0], [3], [1]), {"NewAxisMask": 1}, "new-axis"),
        (([0], [3], [1]), {"Offset": True}, "offsets"),
        (([0, 0], [3, 1], [1, 1]), {}, "for 1 dimensions"),
        (([0], [3], [2]), {}, "declared"),
    ],
)
def test_refuses_nonsense(values, fields, reason):
    x = act(np.random.default_rng(1), "x", (5,), "int8", 0.1, 3)
    written = TfliteOp("STRIDED_SLICE", ("x", *(np.array(v, np.int32) for v in values)), "StridedSliceOptions", fields)
    assert reason in refusal([x], [replace(x, name="y", shape=(3,))], written)


@pytest.mark.parametrize(
    ("begin", "size", "reason"),
    [((1, 2), (2, -1), ""), ((1, 2), (2, 9), "elements from"), ((-1, 0), (2, 3), "from -1")],
)
def test_slice(begin, size, reason):
    x = act(np.random.default_rng(1), "x", (4, 5), "int8", 0.1, 3)
    written = TfliteOp("SLICE", ("x", np.array(begin, np.int32), np.array(size, np.int32)), "SliceOptions")
    found = refusal([x], [replace(x, name="y", shape=(2, 3))], written)
    assert reason in found and bool(reason) == bool(found)


def sliced(rng):
    shape = [int(d) for d in rng.integers(1, 8, int(rng.integers(1, 5)))]
    begin = [int(rng.integers(0, d)) for d in shape]
    size = [int(rng.integers(1, d - b + 1)) for d, b in zip(shape, begin, strict=True)]
    x = act(rng, "x", shape)
    # -1 stands for all that is left.
    asked = [-1 if b + n == d and rng.random() < 0.3 else n for d, b, n in zip(shape, begin, size, strict=True)]
    written = TfliteOp("SLICE", ("x", np.array(begin, np.int32), np.array(asked, np.int32)), "SliceOptions")
    return [x], [replace(x, name="y", shape=tuple(size))], written


def test_slices_match_oracle():
    check_written(sliced, 200)


def test_float_meaning():
    for i in range(60):
        rng = np.random.default_rng([2, i])
        graph = case(rng)
        if graph.tensors["x"].dtype == "int8":
            op = graph.nodes[0].op
            check_forward(graph, rng, 0.01, batched=op.size[0] == ALL and 0 not in op.shrink)
