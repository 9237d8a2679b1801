"""`compile --weights` and `inspect --encodings`."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from command_line import call, fails, need_gcc, need_m4, ok
from encoded import chain, conv2d, sparse, with_weights
from harness import act, const

import intaglio
from intaglio import boards, interpret, prepare, profile
from intaglio.emit import tflite as writer
from intaglio.graph import Graph, Node, Quant
from intaglio.kernels.encodings import names
from intaglio.ops.fully_connected import FullyConnected
from intaglio.ops.reshape import Reshape

PREFERENCES = ("dense", "size", "balanced", "speed")


def network() -> Graph:
    """A padded convolution and a classifier, both with many zeros."""
    rng = np.random.default_rng(5)
    conv = conv2d((6, 6), 4, 64, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), 1, rng)
    conv = with_weights(conv, sparse(rng, 64, 36, 0.1).reshape(64, 3, 3, 4), "")
    flat = act(rng, "flat", (1, 36 * 64), scale=conv.tensors["y"].scale, zero_point=conv.tensors["y"].zero_point)
    w = const("fc", sparse(rng, 10, 36 * 64, 0.05), Quant((0.02,), (0,)))
    out = act(rng, "out", (1, 10), scale=0.5)
    nodes = (
        conv.nodes[0],
        Node("flat", Reshape((1, 36 * 64)), ("y",), ("flat",)),
        Node("classes", FullyConnected(), ("flat", "fc"), ("out",)),
    )
    tensors = {**conv.tensors, "flat": flat, "fc": w, "out": out}
    return Graph("net", nodes, tensors, ("x",), ("out",))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "net.tflite").write_bytes(writer.write(network()))


def weight_bytes(folder):
    return json.loads((folder / "intaglio.json").read_text())["weight_bytes"]


def test_a_folder_remembers_how_weights_are_stored(tmp_path):
    for weights in PREFERENCES:
        ok("compile", "net.tflite", "--board", "host", "-o", weights, "--no-build", "--weights", weights)
        assert json.loads((tmp_path / weights / "intaglio.json").read_text())["weights"] == weights
    sizes = {weights: weight_bytes(tmp_path / weights) for weights in PREFERENCES}
    assert sizes["size"] <= sizes["balanced"] < sizes["dense"] / 2 and sizes["size"] < sizes["speed"]
    ok("compile", "net.tflite", "--board", "host", "-o", "plain", "--no-build")
    assert weight_bytes(tmp_path / "plain") == sizes["dense"]
    ok("compile", "size", "--board", "host", "-o", "again", "--no-build")
    assert weight_bytes(tmp_path / "again") == sizes["size"]
    ok("compile", "size", "--board", "host", "-o", "back", "--no-build", "--weights", "dense")
    assert weight_bytes(tmp_path / "back") == sizes["dense"]
    code, _, err = call("compile", "net.tflite", "--board", "host", "-o", "bad", "--weights", "tiny")
    assert code == 2 and "balanced" in err
    text = (tmp_path / "size" / "intaglio.json").read_text()
    (tmp_path / "size" / "intaglio.json").write_text(text.replace('"weights": "size"', '"weights": "tiny"'))
    assert "weights" in fails("compile", "size", "--board", "host", "-o", "bad", "--no-build")


@need_gcc
def test_outputs_are_the_same(tmp_path):
    x = np.random.default_rng(1).integers(-128, 128, (20, 6, 6, 4)).astype(np.int8)
    expected = interpret.run(network(), [x])[0][:, 0]
    for weights in PREFERENCES:
        folder = intaglio.compile("net.tflite", "host", weights, weights=weights).folder
        assert (intaglio.run(folder, "host", x)["out"] == expected).all()
        shutil.rmtree(folder)


@need_m4
@pytest.mark.parametrize("core", ["qemu-mps2-an386", "qemu-m0plus-an385"])
def test_on_cores(core, tmp_path):
    """Bytes equal; a folder of another board is compiled with the same preference; less flash, fewer instructions."""
    x = np.random.default_rng(1).integers(-128, 128, (3, 6, 6, 4)).astype(np.int8)
    expected = interpret.run(network(), [x])
    found = {}
    for weights in ("dense", "size", "speed"):
        intaglio.compile("net.tflite", "host", weights, build=False, weights=weights)
        with prepare.prepared(tmp_path / weights, boards.load(core), intaglio.load(weights)) as firmware:
            found[weights] = profile.profile(firmware, [x], expected)
            assert firmware.manifest.weights == weights
        assert found[weights].bit_exact
        assert found[weights].memory.arena_high_water == found[weights].memory.arena_bytes
    assert found["size"].memory.flash_bytes < found["dense"].memory.flash_bytes
    assert found["speed"].latency.instructions < found["dense"].latency.instructions


def test_inspect_lists_every_encoding():
    assert "estimated for the Cortex-M0+" in ok("inspect", "net.tflite", "--encodings", "--board", "qemu-microbit")
    assert "is given without --encodings" in fails("inspect", "net.tflite", "--board", "qemu-microbit")
    out = ok("inspect", "net.tflite", "--encodings")
    for word in (*(name for name in names() if name != "s2"), "dense", "size", "balanced", "speed", "estimated"):
        assert word in out
    # The Cortex-M4 has two kernels for a fully connected layer whose weights lie as they are.
    assert "dense (fully_connected)" in out and "dense (fully_connected_dsp)" in out
    layers = json.loads(ok("inspect", "net.tflite", "--encodings", "--json"))["encodings"]
    assert [layer["name"] for layer in layers] == ["y", "out"]
    for layer in layers:
        assert {c for way in layer["ways"] for c in way["chosen"]} == set(PREFERENCES)
        [dense] = [way for way in layer["ways"] if "dense" in way["chosen"]]
        assert dense["encoding"] == "dense" and dense is layer["ways"][0]
        assert all(way["instructions_estimated"] > 0 for way in layer["ways"])
    assert "encodings" not in json.loads(ok("inspect", "net.tflite", "--json"))


def test_nothing_to_choose():
    floats = chain(np.ones((2, 3), np.int8))
    tensors = {n: act(None, n, floats.tensors[n].shape, "float32") for n in ("x", "y0")}
    tensors["w0"] = const("w0", np.ones((2, 3), np.float32))
    with open("floats.tflite", "wb") as file:
        file.write(writer.write(Graph("floats", floats.nodes, tensors, ("x",), ("y0",))))
    assert "no layer with int8 weights" in ok("inspect", "floats.tflite", "--encodings")
    assert json.loads(ok("inspect", "floats.tflite", "--encodings", "--json"))["encodings"] == []
