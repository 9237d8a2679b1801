"""Files that are well formed and still mean harm, or mean what is easily misread: each was once a bug."""

from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from emitted import write
from harness import STRICT, compare, const, host_c, inputs_for, numpy_reference

from intaglio import oracle, pipeline
from intaglio.boards import load as load_board
from intaglio.emit import tflite as writer
from intaglio.errors import BoardError, GraphError, UnsupportedError
from intaglio.frontends.tflite import checked, parse
from intaglio.graph import Graph, Node, Quant, Tensor
from intaglio.lower.fold_constants import fold_constants
from intaglio.ops.add import Add
from intaglio.ops.assign_variable import AssignVariable
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.read_variable import ReadVariable
from intaglio.ops.window import out_hw

Q = Quant((0.5,), (0,))


def conv_graph(x_shape, w_shape, op) -> Graph:
    x = Tensor("x", x_shape, "int8", Q)
    w = const("w", np.ones(w_shape, np.int8), Quant((0.25,), (0,)))
    y = Tensor("y", op.infer([x, w], [])[0][0], "int8", Q)
    return Graph("case", (Node("y", op, ("x", "w"), ("y",)),), {t.name: t for t in (x, w, y)}, ("x",), ("y",))


def in_floats(graph: Graph) -> Graph:
    """The same layers on float32 tensors."""
    tensors = {
        n: replace(t, dtype="float32", quant=None, data=None if t.data is None else t.data.astype(np.float32))
        for n, t in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)


def test_a_layer_without_bias_builds_on_its_own(tmp_path):
    graph = replace(conv_graph((1, 4, 4, 2), (3, 1, 1, 2), Conv2D()), name="nobias")
    write(pipeline.compile_graph(graph, "host"), tmp_path)
    command = ["gcc", *STRICT, "-I.", "-c", "nobias.c", "-o", "o.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["stdint", "string", "itg_app", "features", "conv2d"])
def test_a_model_named_like_a_header(tmp_path, name):
    graph = replace(conv_graph((1, 4, 4, 2), (3, 1, 1, 2), Conv2D()), name=name)
    write(pipeline.compile_graph(graph, "host"), tmp_path)
    done = subprocess.run("cc -c -I. *.c kernels/*.c", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("op", "w_shape"),
    [
        (Conv2D((1, 1), (65536, 1), (0, 0, 0, 0)), (1, 1, 2, 40)),
        (Conv2D((1, 1), (1, 65536), (0, 0, 0, 0)), (1, 2, 1, 40)),
        (Conv2D((1, 1), (1, 65535), (0, 0, 32768, 32768)), (1, 1, 2, 40)),
        (DepthwiseConv2D((1, 1), (1, 65535), (0, 0, 32768, 32768)), (1, 1, 2, 40)),
        (DepthwiseConv2D((1, 1), (65536, 65536), (0, 0, 0, 0)), (1, 1, 1, 40)),
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_a_dilation_of_a_kernel_of_one_does_not_overflow(op, w_shape, dtype):
    # Under UBSan: the step to a next tap that does not exist must not be worked out.
    graph = conv_graph((1, 3, 1000, 40), w_shape, op)
    if dtype == "float32":
        graph = in_floats(graph)
        host_c([graph], [inputs_for(graph, np.random.default_rng(1), random=1)])
        return
    rows = [inputs_for(graph, np.random.default_rng(1), random=1)]
    compare("host C", [graph], rows, [numpy_reference(graph, rows[0])], host_c([graph], rows), 0)


def test_a_huge_padded_plane_is_refused():
    with pytest.raises(GraphError, match="pixels at most"):
        out_hw((8, 8), (2, 2), (1, 1), (60000, 60000), (30000, 30000, 30000, 30000))


def test_constants_are_not_broadcast_into_a_huge_one():
    a, b = (const(n, np.zeros(s, np.int8), Q) for n, s in (("a", (16384, 1)), ("b", (1, 16384))))
    big, y = (Tensor(n, (16384, 16384), "int8", Q) for n in ("big", "y"))
    nodes = (Node("big", Add(), ("a", "b"), ("big",)), Node("y", Add(), ("big", "big"), ("y",)))
    graph = Graph("case", nodes, {t.name: t for t in (a, b, big, y)}, (), ("y",))
    assert len(fold_constants(graph).nodes) == 2


def state_graph(names: list[str]) -> Graph:
    """Each variable keeps the last input plus its own number."""
    x = Tensor("x", (1, 4), "int8", Q)
    tensors, nodes, outputs = {"x": x}, [], []
    for i, name in enumerate(names):
        state = Tensor(f"state:{name}", (1, 4), "int8", Q, np.full((1, 4), i, np.int8), True)
        one = const(f"one{i}", np.full((1, 4), 2 * i + 1, np.int8), Q)
        read, total = (Tensor(f"{n}{i}", (1, 4), "int8", Q) for n in ("read", "total"))
        tensors |= {t.name: t for t in (state, one, read, total)}
        nodes += [
            Node(read.name, ReadVariable(), (state.name,), (read.name,)),
            Node(total.name, Add(), (read.name, one.name), (total.name,)),
            Node(f"assign{i}", AssignVariable(), (total.name, state.name), ()),
        ]
        outputs.append(total.name)
    return Graph("case", tuple(nodes), {**tensors}, ("x",), tuple(outputs))


@pytest.mark.parametrize("names", [["v" * 120 + "1", "v" * 120 + "2"], ["a\x01", "a\x02"]])
def test_variables_whose_names_look_alike_stay_apart(names):
    data = writer.write(state_graph(names))
    graph = checked(parse(data, "memory", "again"), "memory")
    rows = [[np.full((1, 4), k, np.int8)] for k in range(4)]
    judged = oracle.run(data, [np.stack([r[0] for r in rows])])
    found = numpy_reference(graph, rows)
    assert all(np.array_equal(out[r], found[r][k]) for k, out in enumerate(judged) for r in range(len(rows)))
    assert len(graph.states()) == 2


def test_a_tensor_may_be_called_like_a_state():
    graph = state_graph(["v"])
    renamed = {
        k.replace("read0", "state:v_"): replace(t, name=k.replace("read0", "state:v_"))
        for k, t in graph.tensors.items()
    }
    nodes = [
        replace(n, **{k: tuple(v.replace("read0", "state:v_") for v in getattr(n, k)) for k in ("inputs", "outputs")})
        for n in graph.nodes
    ]
    again = parse(writer.write(graph.with_nodes(nodes, renamed)), "memory", "again")
    assert pipeline.compile_graph(checked(again, "memory"), "host")


def test_call_once_after_a_variable_was_used_is_refused():
    class Late(writer._Writer):
        def subgraph(self, sub, inputs, outputs):
            if sub.name == "main":
                sub.operators = [*sub.operators[1:], sub.operators[0]]
            return super().subgraph(sub, inputs, outputs)

    graph = state_graph(["v"])
    data = Late().model(graph, [(n, n.op.to_tflite(n, graph)) for n in graph.nodes])
    with pytest.raises(UnsupportedError, match="CALL_ONCE after"):
        parse(data, "memory", "late")


def test_a_board_folder_cannot_pose_as_a_board_of_the_package(tmp_path):
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "board.toml").write_text('title = "x"\ntarget = "host"\n[runner]\nkind = "host"\n')
    with pytest.raises(BoardError, match="Rename the folder"):
        load_board(tmp_path / "host")


def test_a_chain_of_thousands_is_planned_quickly():
    n = 3000
    tensors = {f"t{i}": Tensor(f"t{i}", (1, 4), "int8", Q) for i in range(n + 1)}
    nodes = tuple(Node(f"t{i + 1}", Add(), (f"t{i}", f"t{i}"), (f"t{i + 1}",)) for i in range(n))
    files = pipeline.compile_graph(Graph("chain", nodes, tensors, ("t0",), (f"t{n}",)), "host")
    assert b"_ARENA_BYTES" in files["chain.h"]
