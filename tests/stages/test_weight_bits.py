"""Quantizing weights to 4 and 2 bits: the scales, which layers, the accuracy, and the firmware of a whole model."""

import shutil
import time

import digits
import numpy as np
import pytest
import torch

import intaglio
from intaglio import interpret, pipeline
from intaglio.errors import DataError
from intaglio.frontends import torch as frontend
from intaglio.quantize.post_training import post_training
from intaglio.quantize.weights import closest, layer_bits, levels
from intaglio.summary import summarize


def error(rows, scales, bits):
    """The share of each row's energy that is lost."""
    q = np.clip(np.round(rows / scales[:, None]), *levels(bits))
    return ((rows - q * scales[:, None]) ** 2).sum(1) / (rows**2).sum(1)


ROWS = {
    "normal": lambda rng: rng.normal(size=(100, 576)),
    "heavy tails": lambda rng: rng.standard_t(3, size=(100, 300)),
    "few": lambda rng: rng.normal(size=(100, 9)),
    "uniform": lambda rng: rng.uniform(-1, 1, size=(100, 64)),
    "tiny": lambda rng: rng.normal(size=(100, 50)) * 1e-30,
}


@pytest.mark.parametrize("bits", [4, 2])
@pytest.mark.parametrize("kind", ROWS)
def test_scales_leave_about_the_least_error(kind, bits):
    rows = ROWS[kind](np.random.default_rng(1))
    found = error(rows, closest(rows, bits), bits)
    peaks = np.abs(rows).max(axis=1)
    shares = np.linspace(0.05, 1.3, 300) / levels(bits)[1]
    least = np.min([error(rows, peaks * share, bits) for share in shares], axis=0)
    assert found.mean() <= 1.03 * least.mean() + 1e-6
    assert (found <= error(rows, peaks / levels(bits)[1], bits) + 1e-6).all()


def test_rows_of_zeros_and_of_one_weight():
    rows = np.zeros((3, 4))
    rows[1, 2], rows[2, 0] = 0.3, -0.3
    scales = closest(rows, 4)
    assert scales[0] == 0 and error(rows[1:], scales[1:], 4).max() < 1e-10


@pytest.mark.parametrize("bits", [4, 2])
def test_the_search_is_fast_enough_for_each_step_of_a_training(bits):
    rows = np.random.default_rng(1).normal(size=(140, 576))
    seconds = []
    for _ in range(5):
        start = time.process_time()
        closest(rows, bits)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.03


@pytest.fixture(scope="module")
def trained():
    """The float graph, its calibration data, and test images with their labels."""
    module, (x_train, _), (x_test, y_test) = digits.train(8)
    graph = frontend.load(module, torch.zeros(1, 1, 8, 8), "digits")
    return graph, digits.nhwc(x_train[:256]), x_test, y_test


def right(graph, x, y):
    return digits.accuracy(interpret.run(graph, [digits.quantized(graph, x)])[0], y)


def test_digits_keep_their_accuracy(trained):
    graph, x_train, x, y = trained
    eight, four = (right(post_training(graph, x_train, weight_bits=b), x, y) for b in (8, 4))
    assert eight > 0.9 and four > eight - 0.04


def test_layers_by_name_and_pattern(trained):
    graph = pipeline.executable(trained[0])
    names = [n.name for n in graph.nodes if n.op.name in ("conv2d", "depthwise_conv2d", "fully_connected")]
    outputs = [n.outputs[0] for n in graph.nodes if n.name in names]
    assert set(layer_bits(graph, 2).values()) == {2} and list(layer_bits(graph, 8)) == outputs
    found = layer_bits(graph, {"*": 4, names[-1]: 8})
    assert [found[o] for o in outputs] == [4] * (len(names) - 1) + [8]
    found = layer_bits(graph, {names[0]: 2})
    assert [found[o] for o in outputs] == [2] + [8] * (len(names) - 1)
    with pytest.raises(DataError, match="8, 4 or 2"):
        layer_bits(graph, 3)
    with pytest.raises(DataError, match="8, 4 or 2"):
        layer_bits(graph, {"*": 16})
    with pytest.raises(DataError, match=f"weight_bits.*(?s:.)*{names[0]}"):
        layer_bits(graph, {names[0] + "x": 4})
    pool = next(n.name for n in graph.nodes if n.op.name == "max_pool2d")
    with pytest.raises(DataError, match="no layer is called"):
        layer_bits(graph, {pool: 4})


def test_some_layers_in_few_bits_and_some_in_floats(trained):
    graph, x_train, _, _ = trained
    simple = pipeline.executable(graph)
    first, *_, last = [n.name for n in simple.nodes if n.op.name in ("conv2d", "fully_connected")]
    q = intaglio.to_int8(graph, x_train, keep_float=[last], weight_bits={"*": 4, first: 2})
    bits = {n.name: q.tensors[n.inputs[1]].quant for n in q.nodes if len(n.inputs) > 1 and n.op.name != "add"}
    assert bits.pop(last) is None and bits.pop(first).bits == 2
    assert bits and {quant.bits for quant in bits.values()} == {4}


def test_parameters_are_counted_as_they_are_packed(trained):
    graph, x_train, _, _ = trained
    eight, four = (summarize(post_training(graph, x_train, weight_bits=b, bias_corrected=False)) for b in (8, 4))
    assert eight.parameters == four.parameters
    biases = 4 * sum(layer.outputs[0][-1] for layer in eight.layers if layer.parameters)
    weights = eight.parameter_bytes - biases
    # Rows of an odd number of weights end with half a byte.
    assert weights / 2 <= four.parameter_bytes - biases <= weights / 2 + 24


@pytest.mark.parametrize("board", ["qemu-m0plus-an385", "qemu-mps2-an386", "qemu-mps3-an547"])
def test_firmware(trained, board):
    if shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None:
        pytest.skip("arm-none-eabi-gcc or qemu-system-arm is not installed")
    graph, x_train, x, _ = trained
    first = next(n.name for n in pipeline.executable(graph).nodes if n.op.name == "conv2d")
    q = post_training(graph, x_train, weight_bits={"*": 4, first: 2})
    report = intaglio.measure(q, board, digits.quantized(q, x[:4]))
    assert report.bit_exact
    assert report.memory.arena_high_water == report.memory.arena_bytes
    assert report.memory.flash_weight_bytes == summarize(q).parameter_bytes
