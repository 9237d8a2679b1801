"""FULLY_CONNECTED for cores with DSP instructions, against its meaning: on this computer with these instructions in C,
under the sanitizers, and on cores in QEMU."""

from dataclasses import replace

import numpy as np
import pytest
from cores import BOARDS
from harness import act, check_cases, const, graph_of

from intaglio import boards, build, interpret, kernels, pipeline, prepare, profile, targets
from intaglio.graph import Graph, Quant
from intaglio.kernels.costs import cost
from intaglio.kernels.dsp.fully_connected_dsp import STEM, packed
from intaglio.kernels.encodings import matrix
from intaglio.ops.fully_connected import FullyConnected

HOST = targets.load("host").model_copy(update={"kernels": ("dsp", "c")})
CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")


def case(rng, size=90, lowest=-127):
    rows, in_c, out_c = int(rng.integers(1, 4)), int(rng.integers(1, size)), int(rng.integers(1, 30))
    op = FullyConnected(str(rng.choice(["none", "relu", "relu6", "relu_n1_to_1"])))
    x = act(rng, "x", (rows, in_c))
    scales = np.float32(np.exp(rng.uniform(-7, -2, out_c if rng.random() < 0.5 else 1)))
    quant = Quant(tuple(map(float, scales)), (0,) * len(scales), 0 if len(scales) > 1 else None)
    spread = rng.choice(["any", "extreme", "small"])
    if spread == "extreme":
        w = rng.choice([lowest, 127], (out_c, in_c))
    else:
        w = rng.integers(lowest, 128, (out_c, in_c)) // (1 if spread == "any" else 40)
    weights = const("w", w.astype(np.int8), quant)
    bias_quant = Quant(tuple(float(np.float32(x.scale) * s) for s in scales), quant.zero_point, quant.axis)
    bias = rng.integers(-(2**20), 2**20, out_c).astype(np.int32)
    b = const("b", bias, bias_quant) if rng.random() < 0.7 else None
    reach = x.scale * float(scales.max()) * 128 * np.sqrt(in_c)
    out = act(rng, "y", (rows, out_c), scale=reach * np.exp(rng.uniform(-3, 1)))
    return graph_of(op, [x, weights, b], [out])


def test_on_this_computer():
    check_cases(case, 200, target=HOST, uses=STEM)


@pytest.mark.parametrize("core", CORES)
def test_on_cores(core):
    check_cases(case, 60, seed=2, judge=False, target=targets.load(core), uses=STEM)


@pytest.mark.soak
@pytest.mark.parametrize("core", CORES)
def test_on_cores_at_length(core):
    for seed in range(25):
        check_cases(lambda rng: case(rng, 400), 200, seed=100 + seed, judge=False, target=targets.load(core), uses=STEM)


def stems(graph, target=HOST):
    return {c.kernel for n in pipeline.selected(graph, target).nodes for c in n.calls}


def layer(w):
    rng = np.random.default_rng(1)
    weights = const("w", np.asarray(w, np.int8), Quant((0.01,), (0,)))
    x, y = act(rng, "x", (1, weights.shape[1]), scale=0.1), act(rng, "y", (1, weights.shape[0]), scale=1000.0)
    return graph_of(FullyConnected(), [x, weights], [y])


def test_what_a_half_word_cannot_hold_is_left_to_the_portable_kernel():
    assert stems(layer([[-128, 1], [0, 5]])) == {STEM}
    assert stems(layer([[-128, 1], [-1, 5]])) == {"fully_connected"}  # 256 * -128 - 1 is below int16
    assert stems(layer([[-127, 1], [-128, 5]])) == {STEM}


def test_sums_that_could_leave_24_bits_are_left_to_the_portable_kernel():
    for inputs, stem in ((516, STEM), (517, "fully_connected")):
        graph = layer(np.full((2, inputs), 127))
        assert stems(graph) == {stem}
        largest = replace(graph.tensors["x"], quant=Quant((0.1,), (0,)))
        made = replace(graph, tensors={**graph.tensors, "x": largest})
        check_cases(lambda rng, made=made: made, 1, target=HOST)


def test_other_types_and_cores_take_the_portable_kernel():
    graph = layer([[1, 2], [3, 4]])
    assert stems(graph, targets.load("cortex-m0plus")) == {"fully_connected"}
    four = replace(graph.tensors["w"], quant=Quant((0.01,), (0,), bits=4))
    assert stems(replace(graph, tensors={**graph.tensors, "w": four})) == {"fully_connected_s4"}
    stored = replace(graph.tensors["w"], encoding="sparse")
    assert stems(replace(graph, tensors={**graph.tensors, "w": stored})) == {"fully_connected_sparse"}


def test_every_weight_is_in_its_place():
    w = np.random.default_rng(1).integers(-127, 128, (6, 7)).astype(np.int8)
    words = packed(w)
    assert words.shape == (2, 2, 2, 2)
    for oc in range(8):
        for i in range(8):
            half = words[oc // 4, i // 4, i % 2, oc % 4 // 2] >> (16 * (i % 4 // 2)) & 0xFFFF
            both = int(half.astype(np.uint16).view(np.int16))
            low = int(np.uint8(both & 0xFF).view(np.int8))
            found = low if oc % 2 else (both - low) // 256
            assert found == (w[oc, i] if oc < 6 and i < 7 else 0)


def test_the_estimate_is_near_the_count():
    """Instructions of layers in QEMU, beside what the kernel says that they take."""
    rng = np.random.default_rng(3)
    board = boards.load(BOARDS["cortex-m4"])
    for inputs, outputs in ((640, 128), (128, 128), (40, 64)):
        graph: Graph = replace(layer(rng.integers(-60, 60, (outputs, inputs))), name="layer")
        x = [rng.integers(-128, 128, (2, 1, inputs)).astype(np.int8)]
        with prepare.prepared(None, board, graph) as firmware:
            found = profile.profile(firmware, x, interpret.run(graph, x))
            # The name of a kernel in a firmware ends with a hash of its text.
            [code] = {
                size for name, (_, size) in build.symbols(firmware.elf).items() if name.startswith(f"itg_{STEM}_")
            }
        [call] = pipeline.selected(graph, board.load_target()).nodes[0].calls
        weights = matrix(np.asarray(graph.tensors["w"].data))
        said = cost(call, weights, kernels.costs("cortex-m4")[STEM])
        counted = found.layers[0].instructions
        assert found.bit_exact and counted is not None
        assert abs(said.instructions - counted) < 0.1 * counted, f"{inputs} to {outputs}: {said}, counted {counted}"
        assert abs(said.code_bytes - code) < 0.1 * code
