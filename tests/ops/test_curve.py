"""Functions of one number: ELU and ABS and RSQRT against the oracle, GELU against LiteRT, the rest against torch."""

from dataclasses import replace

import numpy as np
import pytest
from cases import rsqrt
from elementwise_cases import check_float_and_file, decimal, halfway, positive, unary_case
from files import read_back
from floats import real
from harness import act, check_cases, graph_of, host_c, inputs_for, numpy_reference, tflm

from intaglio.emit import tflite as writer
from intaglio.errors import UnsupportedError
from intaglio.frontends.tflite import parse
from intaglio.graph import Tensor
from intaglio.ops.abs import Abs
from intaglio.ops.elu import Elu
from intaglio.ops.exp import Exp
from intaglio.ops.gelu import Gelu
from intaglio.ops.hard_sigmoid import HardSigmoid
from intaglio.ops.log import Log
from intaglio.ops.neg import Neg
from intaglio.ops.rsqrt import Rsqrt
from intaglio.ops.silu import Silu
from intaglio.ops.sqrt import Sqrt
from intaglio.ops.square import Square

JUDGED = [Elu(), Abs()]
CURVES = [Elu(0.5), Gelu(False), Gelu(True), Silu(), HardSigmoid(), HardSigmoid(1 / 6, 0.5), Exp(), Neg(), Square()]
POSITIVE = [Sqrt(), Log()]


@pytest.mark.parametrize("op", JUDGED, ids=str)
def test_matches_oracle(op):
    check_cases(lambda rng: unary_case(rng, op), 200)


@pytest.mark.parametrize("op", JUDGED, ids=str)
def test_halves_match_oracle(op):
    def case(rng):
        scale = decimal(rng)
        return unary_case(rng, op, scale, halfway(rng, scale))

    check_cases(case, 100)


def test_rsqrt_matches_oracle():
    check_cases(rsqrt.case, 300)


def test_c_looks_up_what_the_reference_says():
    ops = [*CURVES, *POSITIVE, Rsqrt()]
    check_cases(lambda rng: unary_case(rng, ops[int(rng.integers(len(ops)))]), 220, judge=False)


@pytest.mark.parametrize("op", CURVES, ids=str)
def test_every_byte_is_the_nearest_to_the_real_function(op):
    import torch

    for i in range(20):
        rng = np.random.default_rng([5, i])
        x, y = act(rng, "x", (256,)), act(rng, "y", (256,))
        check_nearest(op, x, y, torch)


@pytest.mark.parametrize("op", [*POSITIVE, Rsqrt()], ids=str)
def test_every_byte_of_the_domain_is_near_the_real_function(op):
    import torch

    for i in range(20):
        graph = (rsqrt.case if op == Rsqrt() else lambda rng: positive(rng, op))(np.random.default_rng([6, i]))
        x, y = graph.tensors["x"], graph.tensors["y"]
        check_nearest(op, x, y, torch, 1.01 if op == Rsqrt() else 0.501)


def check_nearest(op, x, y, torch, steps=0.501):
    q = np.arange(-128, 128).astype(np.int8)
    [found] = op.reference([q], [x], [y])
    want = op.forward(torch.tensor(real(x, q))).numpy()
    lowest, highest = real(y, -128), real(y, 127)
    assert (np.abs(real(y, found) - np.clip(want, lowest, highest)) <= steps * y.scale).all()


@pytest.mark.parametrize(("op", "at_the_border"), [(Sqrt(), 0.0), (Log(), -1e9), (Rsqrt(), 1e9)], ids=str)
def test_what_lies_outside_the_domain_counts_as_its_border(op, at_the_border):
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (256,), scale=0.1, zero_point=0), act(rng, "y", (256,), scale=0.05, zero_point=3)
    [found] = op.reference([np.arange(-128, 1).astype(np.int8)], [x], [y])
    assert (found == np.clip(round(at_the_border / 0.05) + 3, -128, 127)).all()


@pytest.mark.parametrize("op", [Elu(), Gelu(False), Gelu(True), Exp(), Neg(), Square()], ids=str)
def test_float_and_file(op):
    check_float_and_file(lambda rng: unary_case(rng, op), steps=0.6)


@pytest.mark.parametrize("op", [Abs(), Sqrt(), Log(), Rsqrt()], ids=str)
def test_file(op):
    rng = np.random.default_rng(1)
    assert read_back(positive(rng, op)).op == op


@pytest.mark.parametrize("op", [Silu(), HardSigmoid(), Elu(0.5)], ids=str)
def test_what_tflite_lacks_is_not_exported(op):
    with pytest.raises(UnsupportedError, match=op.name):
        writer.write(unary_case(np.random.default_rng(1), op))


def test_gelu_is_close_to_litert():
    """LiteRT works its table out in float32 too; its own series for erf may differ in the last bits."""
    from ai_edge_litert.interpreter import Interpreter

    for i in range(40):
        rng = np.random.default_rng([8, i])
        graph = unary_case(rng, Gelu(bool(i % 2)))
        rows = inputs_for(graph, rng)
        interpreter = Interpreter(model_content=writer.write(graph))
        interpreter.allocate_tensors()
        for [x], [want] in zip(rows, numpy_reference(graph, rows), strict=True):
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
            interpreter.invoke()
            found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
            assert np.abs(found.astype(int) - want).max() <= 1 and (found != want).mean() < 0.01


def test_refuses_scales_beyond_32_bits():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (5,), scale=1e-6), act(rng, "y", (5,), scale=1e-9)
    assert "too fine" in Rsqrt().check([x], [y])[0]
    x, y = act(rng, "x", (5,), scale=100.0), act(rng, "y", (5,), scale=1e-9)
    assert "32 bits" in Abs().check([x], [y])[0]


def test_refuses_a_mixture():
    x = Tensor("x", (5,), "float32")
    assert "mixes float32" in Gelu().check([x], [act(np.random.default_rng(1), "y", (5,))])[0]


@pytest.mark.parametrize("op", [Exp(), Sqrt(), Log(), Rsqrt()], ids=str)
def test_float_kernels_and_tflm_come_close(op):
    x = np.random.default_rng(1).uniform(1e-3, 60, (1, 300)).astype(np.float32)
    t = Tensor("x", x.shape, "float32")
    graph = graph_of(op, [t], [replace(t, name="y")])
    [[[want]]] = [numpy_reference(graph, [[x]])]
    for [[[found]]] in (host_c([graph], [[[x]]]), tflm([graph], [[[x]]])):
        assert np.allclose(found, want, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("op", [Exp(), Sqrt(), Log(), Rsqrt(), Square(), Elu(), Gelu(), Gelu(True), Silu()], ids=str)
def test_float_kernels_stay_finite(op):
    """Where the result is beyond float32 it is the largest one, in C as in the reference."""
    small = [] if op in (Sqrt(), Log(), Rsqrt()) else [-1e30, -200.0, -90.0, -10.0, -1e-3]
    x = np.array([[*small, 0.0, 1e-40, 90.0, 200.0, 1e30]], np.float32)
    t = Tensor("x", x.shape, "float32")
    graph = graph_of(op, [t], [replace(t, name="y")])
    [[[want]]] = [numpy_reference(graph, [[x]])]
    [[[found]]] = host_c([graph], [[[x]]])
    assert np.isfinite(want).all() and np.isfinite(found).all()
    assert np.allclose(found, want, rtol=2e-6, atol=1e-30)


def test_silu_of_floats_is_exported_as_two_operators():
    x = np.random.default_rng(1).normal(0, 4, (1, 200)).astype(np.float32)
    t = Tensor("x", x.shape, "float32")
    graph = graph_of(Silu(), [t], [replace(t, name="y")])
    assert [n.op.name for n in parse(writer.write(graph), "case", "case").nodes] == ["logistic", "mul"]
    [[[want]]], [[[found]]] = [numpy_reference(graph, [[x]])], tflm([graph], [[[x]]])
    assert np.allclose(found, want, rtol=1e-5, atol=1e-6)
