"""The trainable graph: every float operator, forwards and backwards; the module and the Graph are the same thing."""

import copy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from floats import same_graph
from harness import act, const, graph_of
from torch import nn
from torch.nn.utils import parametrize
from torch_zoo import ZOO, channels_last, conv, model, sample, seq

from intaglio import interpret
from intaglio.errors import DataError, UnsupportedError
from intaglio.frontends import torch as frontend
from intaglio.graph import Graph, Node, Tensor, verify
from intaglio.ops import all_ops
from intaglio.ops.abs import Abs
from intaglio.ops.add import Add
from intaglio.ops.average_pool2d import AveragePool2D
from intaglio.ops.base import Op
from intaglio.ops.batch_norm import BatchNorm
from intaglio.ops.concatenation import Concatenation
from intaglio.ops.conv2d import Conv2D
from intaglio.ops.depth_to_space import DepthToSpace
from intaglio.ops.depthwise_conv2d import DepthwiseConv2D
from intaglio.ops.dequantize import Dequantize
from intaglio.ops.div import Div
from intaglio.ops.elu import Elu
from intaglio.ops.exp import Exp
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.gelu import Gelu
from intaglio.ops.hard_sigmoid import HardSigmoid
from intaglio.ops.hard_swish import HardSwish
from intaglio.ops.instance_norm import InstanceNorm
from intaglio.ops.l2_normalization import L2Normalization
from intaglio.ops.layer_norm import LayerNorm
from intaglio.ops.leaky_relu import LeakyRelu
from intaglio.ops.log import Log
from intaglio.ops.logistic import Logistic
from intaglio.ops.max_pool2d import MaxPool2D
from intaglio.ops.maximum import Maximum
from intaglio.ops.mean import Mean
from intaglio.ops.minimum import Minimum
from intaglio.ops.mul import Mul
from intaglio.ops.neg import Neg
from intaglio.ops.pack import Pack
from intaglio.ops.pad import Pad
from intaglio.ops.prelu import PRelu
from intaglio.ops.quantize import Quantize
from intaglio.ops.reduce_max import ReduceMax
from intaglio.ops.reduce_min import ReduceMin
from intaglio.ops.reduce_sum import ReduceSum
from intaglio.ops.relu import Relu
from intaglio.ops.reshape import Reshape
from intaglio.ops.resize_bilinear import ResizeBilinear
from intaglio.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from intaglio.ops.rsqrt import Rsqrt
from intaglio.ops.silu import Silu
from intaglio.ops.softmax import Softmax
from intaglio.ops.space_to_depth import SpaceToDepth
from intaglio.ops.split import Split
from intaglio.ops.sqrt import Sqrt
from intaglio.ops.square import Square
from intaglio.ops.squared_difference import SquaredDifference
from intaglio.ops.strided_slice import ALL, StridedSlice
from intaglio.ops.sub import Sub
from intaglio.ops.tanh import Tanh
from intaglio.ops.tile import Tile
from intaglio.ops.transpose import Transpose
from intaglio.ops.transpose_conv import TransposeConv
from intaglio.ops.unpack import Unpack
from intaglio.train import to_graph, to_module

torch.set_num_threads(1)
MAP = (1, 5, 4, 3)
"""Operator -> (attributes, shapes of the inputs that flow, shapes of the constants behind them), several of each."""
CASES: dict[str, list[tuple[Op, list[tuple[int, ...]], list[tuple[int, ...]]]]] = {
    "abs": [(Abs(), [MAP], [])],
    "depth_to_space": [(DepthToSpace(2), [(1, 2, 3, 8)], [])],
    "div": [(Div(), [MAP], [(3,)])],
    "elu": [(Elu(), [MAP], [])],
    "exp": [(Exp(), [MAP], [])],
    "gelu": [(Gelu(), [MAP], []), (Gelu(True), [MAP], [])],
    "hard_sigmoid": [(HardSigmoid(), [MAP], [])],
    "instance_norm": [(InstanceNorm(1e-3), [MAP], [(3,), (3,)]), (InstanceNorm(1e-3), [MAP], [(3,)])],
    "l2_normalization": [(L2Normalization(), [MAP], [])],
    "layer_norm": [(LayerNorm(1e-3), [MAP], [(3,), (3,)]), (LayerNorm(1e-3, 2), [MAP], [(4, 3)])],
    "log": [(Log(), [MAP], [])],
    "neg": [(Neg(), [MAP], [])],
    "prelu": [(PRelu(), [MAP], [(3,)]), (PRelu(), [MAP], [(1, 1, 3)])],
    "reduce_max": [(ReduceMax((1, 2), True), [MAP], []), (ReduceMax((3,)), [MAP], [])],
    "reduce_min": [(ReduceMin((1, 2), True), [MAP], []), (ReduceMin((3,)), [MAP], [])],
    "reduce_sum": [(ReduceSum((1, 2), True), [MAP], []), (ReduceSum((3,)), [MAP], [])],
    "resize_bilinear": [(ResizeBilinear((7, 3)), [MAP], []), (ResizeBilinear((10, 8), False, True), [MAP], [])],
    "rsqrt": [(Rsqrt(), [MAP], [])],
    "silu": [(Silu(), [MAP], [])],
    "space_to_depth": [(SpaceToDepth(2), [(1, 4, 6, 2)], [])],
    "sqrt": [(Sqrt(), [MAP], [])],
    "square": [(Square(), [MAP], [])],
    "squared_difference": [(SquaredDifference(), [MAP, MAP], []), (SquaredDifference(), [MAP], [(3,)])],
    "add": [(Add(), [MAP, MAP], []), (Add("relu6"), [MAP], [(3,)]), (Add(), [MAP, (1, 1, 1, 3)], [])],
    "average_pool2d": [(AveragePool2D((2, 2), (2, 1)), [MAP], []),
                       (AveragePool2D((3, 2), (2, 2), (1, 1, 1, 0), "relu"), [MAP], [])],
    "batch_norm": [(BatchNorm(1e-3), [MAP], [(3,)] * 4), (BatchNorm(), [(1, 6)], [(6,)] * 4)],
    "concatenation": [(Concatenation(3), [MAP, (1, 5, 4, 2)], []), (Concatenation(1), [(1, 2), (1, 3)], [])],
    "conv2d": [(Conv2D(), [MAP], [(4, 3, 2, 3), (4,)]), (Conv2D((2, 1), (1, 2), (1, 0, 1, 2), "relu"), [MAP],
               [(2, 2, 2, 3)]), (Conv2D(), [(1, 4, 4, 4)], [(6, 2, 2, 2), (6,)])],
    "depthwise_conv2d": [(DepthwiseConv2D((2, 1), (1, 1), (1, 1, 0, 1)), [MAP], [(1, 3, 2, 6), (6,)])],
    "dequantize": [(Dequantize(), [MAP], [])],
    "fully_connected": [(FullyConnected("relu"), [(1, 6)], [(4, 6), (4,)]),
                        (FullyConnected("none", True), [(1, 3, 6)], [(4, 6)])],
    "hard_swish": [(HardSwish(), [MAP], [])],
    "leaky_relu": [(LeakyRelu(0.2), [MAP], [])],
    "logistic": [(Logistic(), [MAP], [])],
    "max_pool2d": [(MaxPool2D((2, 3), (2, 1), (1, 0, 0, 1)), [MAP], []), (MaxPool2D((2, 2), (2, 2)), [MAP], [])],
    "maximum": [(Maximum(), [MAP, MAP], []), (Maximum(), [MAP], [(1, 1, 1, 3)])],
    "mean": [(Mean((1, 2), True), [MAP], []), (Mean((3,)), [MAP], [])],
    "minimum": [(Minimum(), [MAP, MAP], []), (Minimum(), [MAP], [(1, 1, 1, 3)])],
    "mul": [(Mul(), [MAP, MAP], []), (Mul("relu_n1_to_1"), [MAP], [(3,)])],
    "pack": [(Pack(1), [MAP, MAP], []), (Pack(2), [(1, 6), (1, 6), (1, 6)], [])],
    "pad": [(Pad(((0, 0), (1, 0), (0, 2), (0, 0)), 0.5), [MAP], [])],
    "quantize": [(Quantize(), [MAP], [])],
    "relu": [(Relu("relu"), [MAP], []), (Relu("relu6"), [MAP], []), (Relu("relu_n1_to_1"), [MAP], [])],
    "reshape": [(Reshape((1, 60)), [MAP], []), (Reshape((1, 3, 4)), [(1, 12)], [])],
    "resize_nearest_neighbor": [(ResizeNearestNeighbor((7, 3)), [MAP], []),
                                (ResizeNearestNeighbor((10, 8), False, True), [MAP], [])],
    "softmax": [(Softmax(0.7), [MAP], []), (Softmax(), [(1, 5)], [])],
    "split": [(Split(3, (1, 2)), [MAP], [])],
    "strided_slice": [(StridedSlice((0, 4, 0, 1), (ALL, 2, ALL, 1), (1, -2, 1, 1), (3,)), [MAP], [])],
    "sub": [(Sub(), [MAP, MAP], []), (Sub("relu"), [MAP], [(3,)])],
    "tanh": [(Tanh(), [MAP], [])],
    "tile": [(Tile((1, 2, 1, 3)), [MAP], [])],
    "transpose": [(Transpose((0, 2, 3, 1)), [MAP], [])],
    "unpack": [(Unpack(2, 4), [MAP], []), (Unpack(1, 3), [(1, 3)], [])],
    "transpose_conv": [(TransposeConv((9, 9), (2, 2), (1, 0)), [MAP], [(2, 3, 3, 3), (2,)])],
}  # fmt: skip
NOT_FLOAT = {"unsupported", "read_variable", "assign_variable", "arg_max", "conv2d_borders"}
"""A placeholder, state, an index, what lossless reduction makes of integers: not in float graphs to be trained."""
POSITIVE = {"log", "sqrt", "rsqrt"}
"""What is only defined there."""
INVISIBLE = {"quantize", "dequantize"}
"""Between floats they have no NumPy reference: in a float graph they do not occur."""


def one_node(op, flowing, constants, seed=0) -> Graph:
    rng = np.random.default_rng(seed)
    ins = [act(rng, f"x{i}", shape, "float32") for i, shape in enumerate(flowing)]
    for i, shape in enumerate(constants):
        positive = isinstance(op, BatchNorm) and i == 3
        data = rng.uniform(0.5, 2.0, shape) if positive else rng.normal(size=shape)
        ins.append(const(f"c{i}", data.astype(np.float32)))
    free = [Tensor(f"y{i}", (1,), "float32") for i in range(len(getattr(op, "sizes", (1,))))]
    found = op.infer(ins, free)
    return graph_of(op, ins, [Tensor(f"y{i}", tuple(s), "float32") for i, (s, _) in enumerate(found)])


def inputs_of(graph, n, seed=1):
    rng = np.random.default_rng(seed)
    return [torch.tensor(rng.normal(size=(n, *graph.tensors[x].shape[1:])) * 2.0) for x in graph.inputs]


def listed(y):
    return list(y) if isinstance(y, tuple) else [y]


@pytest.mark.parametrize("name", sorted(set(all_ops()) - NOT_FLOAT))
def test_every_operator(name):
    assert name in CASES, f"add cases of {name} to CASES above"
    for op, flowing, constants in CASES[name]:
        graph = one_node(op, flowing, constants)
        module = to_module(graph).double().eval()
        xs = [x.abs() + 0.1 if name in POSITIVE else x for x in inputs_of(graph, 2)]
        # A batch of two gives each sample's own result, which is the reference's.
        together = listed(module(*xs))
        if name not in INVISIBLE | {"batch_norm"}:
            for i in range(2):
                row = [x[i : i + 1].float().numpy() for x in xs]
                wanted = interpret.step(graph, row, {})[0]
                for y, want in zip(together, wanted, strict=True):
                    np.testing.assert_allclose(y[i : i + 1].detach().numpy(), want, rtol=1e-5, atol=1e-6)
        names = [n for n, _ in module.named_parameters()]
        leaves = [*(x.clone().requires_grad_() for x in xs), *(p.detach().clone() for p in module.parameters())]
        for leaf in leaves:
            leaf.requires_grad_()

        count = len(xs)

        def run(*values, module=module, names=names, count=count):
            y = torch.func.functional_call(module, dict(zip(names, values[count:], strict=True)), values[:count])
            return tuple(listed(y))

        assert torch.autograd.gradcheck(run, leaves, eps=1e-6, atol=1e-5)
        assert same_graph(to_graph(to_module(graph)), graph)


def test_what_is_trained():
    kept = {"batch_norm": {"mean", "variance"}, "maximum": {"b"}, "minimum": {"b"}, "squared_difference": {"b"}}
    for name, cases in CASES.items():
        for op, flowing, constants in cases:
            module = to_module(one_node(op, flowing, constants))
            buffers = {n.split(".")[-1] for n, _ in module.named_buffers()}
            assert buffers == (kept.get(name, set()) if constants else set()), name
            assert len(list(module.parameters())) + len(buffers) == len(constants)
    scalar = to_module(one_node(Mul(), [MAP], [(1,)]))
    assert not list(scalar.parameters()) and len(list(scalar.buffers())) == 1


@pytest.mark.parametrize("name", ZOO)
def test_zoo_back_and_forth(name):
    module, shape = model(name)
    graph = frontend.load(module, torch.zeros(1, *shape), name)
    trained = to_module(graph)
    assert same_graph(to_graph(trained), graph)
    x = channels_last(sample(name))
    with torch.no_grad():
        found = listed(trained.eval()(x))
    for i in range(2):
        wanted = listed(module(sample(name)[i : i + 1]))
        for y, want in zip(found, wanted, strict=True):
            np.testing.assert_allclose(
                np.sort(y[i].numpy().ravel()), np.sort(want.detach().numpy().ravel()), rtol=1e-4, atol=1e-5
            )
    # Every name is an attribute path, and loads into a second module.
    state = trained.state_dict()
    again = to_module(graph)
    with torch.no_grad():
        for p in trained.parameters():
            p.add_(0.25)
    again.load_state_dict(trained.state_dict())
    assert same_graph(to_graph(again), to_graph(trained))
    assert len(list(trained.parameters())) == 0 or not same_graph(to_graph(again), graph)
    for key in state:
        assert key.split(".")[0] == "layers" and len(key.split(".")) == 3 and key.replace(".", "_").isidentifier()


def test_names():
    rng = np.random.default_rng(0)
    names = ["a/b.c;later/d", "a_b_c", "forward", "0", "", "Ü:1", "training"]
    tensors = {"x": Tensor("x", (1, 4), "float32")}
    nodes, before = [], "x"
    for i, name in enumerate(names):
        out = f"y{i}"
        tensors[out] = Tensor(out, (1, 4), "float32")
        tensors[f"w{i}"] = const(f"w{i}", rng.normal(size=(4, 4)).astype(np.float32))
        nodes.append(Node(name, FullyConnected(), (before, f"w{i}"), (out,)))
        before = out
    graph = verify(Graph("g", tuple(nodes), tensors, ("x",), (before,)), "float")
    found = [n.split(".")[1] for n, _ in to_module(graph).named_parameters()]
    assert found == ["a_b_c", "a_b_c_1", "forward_1", "fully_connected_0", "fully_connected", "fully_connected_1",
                     "training_1"]  # fmt: skip


def test_a_constant_of_two_layers_is_one_parameter():
    rng = np.random.default_rng(0)
    tensors = {n: Tensor(n, (1, 4), "float32") for n in ("x", "h", "y")}
    tensors["w"] = const("w", rng.normal(size=(4, 4)).astype(np.float32))
    first, second = (Node(n, FullyConnected(), (i, "w"), (o,)) for n, i, o in (("a", "x", "h"), ("b", "h", "y")))
    module = to_module(verify(Graph("tied", (first, second), tensors, ("x",), ("y",)), "float"))
    assert [n for n, _ in module.named_parameters()] == ["layers.a.weight"]
    x, w = torch.randn(3, 4), torch.tensor(tensors["w"].data, requires_grad=True)
    module(x).square().sum().backward()
    (x @ w.T @ w.T).square().sum().backward()
    torch.testing.assert_close(module.layers.a.weight.grad, w.grad)


def test_batch_norm_trains_as_in_pytorch():
    torch.manual_seed(0)
    reference = seq(conv(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 4, 3))
    graph = frontend.load(reference.eval(), torch.zeros(1, 3, 8, 6))
    module = to_module(graph).train()
    reference.train()
    optimizers = [torch.optim.SGD(m.parameters(), 1e-3) for m in (reference, module)]
    for step in range(3):
        x = torch.randn(5, 3, 8, 6, generator=torch.Generator().manual_seed(step))
        for m, optimizer, value in zip((reference, module), optimizers, (x, channels_last(x)), strict=True):
            optimizer.zero_grad()
            m(value).square().sum().backward()
            optimizer.step()
    x = torch.randn(2, 3, 8, 6)
    bn = next(layer for layer in module.layers.children() if hasattr(layer, "variance"))
    torch.testing.assert_close(bn.mean, reference[1].running_mean)
    torch.testing.assert_close(bn.variance, reference[1].running_var)
    reference.eval(), module.eval()
    torch.testing.assert_close(module(channels_last(x)), reference(x), rtol=1e-4, atol=1e-4)
    # The trained values are in the graph, and in the float C made of it.
    again = frontend.load(reference, torch.zeros(1, 3, 8, 6))
    for name, t in to_graph(module).tensors.items():
        if t.is_const:
            np.testing.assert_allclose(t.data, again.tensors[name].data, rtol=1e-4, atol=1e-5)
    with pytest.raises(DataError, match="one value a channel"):
        to_module(frontend.load(nn.BatchNorm1d(3).eval(), torch.zeros(1, 3))).train()(torch.zeros(1, 3))


def test_parametrizations_are_seen():
    class Mask(nn.Module):
        def forward(self, w):
            return w * (w.abs() > 0.1)

    graph = frontend.load(seq(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)).eval(), torch.zeros(1, 6))
    module = to_module(graph)
    name, layer = next(iter(module.layers.named_children()))
    before = layer.weight.detach().clone()
    parametrize.register_parametrization(layer, "weight", Mask())
    module(torch.randn(3, 6)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    where = next(n for n, (key, attribute) in module.places.items() if (key, attribute) == (name, "weight"))
    found = to_graph(module).tensors[where].data
    assert (found[before.abs().numpy() <= 0.1] == 0).all() and (found != 0).any()
    copied = copy.deepcopy(module)
    assert same_graph(to_graph(copied), to_graph(module))


def test_refused():
    with pytest.raises(DataError, match="a Graph"):
        to_module("model.onnx")
    rng = np.random.default_rng(0)
    integers = graph_of(Relu("relu"), [act(rng, "x", (1, 3))], [act(rng, "y", (1, 3))])
    with pytest.raises(UnsupportedError, match="x is int8"):
        to_module(integers)
    floats = one_node(FullyConnected(), [(1, 6)], [(4, 6)])
    state = replace(floats, tensors={**floats.tensors, "s": Tensor("s", (1,), "float32", None, np.zeros(1), True)})
    with pytest.raises(UnsupportedError, match="s is state"):
        to_module(state)
    hybrid = {**floats.tensors, "c0": const("c0", np.ones((4, 6), np.int8))}
    with pytest.raises(UnsupportedError, match=r"c0, an input of fully_connected .* is int8"):
        to_module(replace(floats, tensors=hybrid))
    with pytest.raises(UnsupportedError, match="no float meaning"):
        to_module(replace(floats, nodes=(replace(floats.nodes[0], op=all_ops()["read_variable"]()),)))
    with pytest.raises(DataError, match="is Linear"):
        to_graph(nn.Linear(2, 2))
    with pytest.raises(DataError, match="2 inputs were given"):
        to_module(floats)(torch.zeros(1, 6), torch.zeros(1, 6))
    with pytest.raises(DataError, match=r"has the shape \[3, 5\]"):
        to_module(floats)(torch.zeros(3, 5))


def test_arrays_and_other_floats_come_in():
    module = to_module(one_node(FullyConnected(), [(1, 6)], [(4, 6)]))
    x = np.linspace(-1, 1, 18).reshape(3, 6)
    want = module(torch.tensor(x, dtype=torch.float32))
    for given in (x, x.astype(np.float32), torch.tensor(x), x.tolist()):
        assert torch.equal(module(given), want)
    with pytest.raises(DataError, match="input 0: is str"):
        module("x")


def test_importing_needs_no_torch():
    code = "import sys, intaglio, intaglio.train; intaglio.train.to_module; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
