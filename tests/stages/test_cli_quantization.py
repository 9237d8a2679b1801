"""The options that quantize, on every verb that takes them."""

import json

import numpy as np
import pytest
import tiny_models
from command_line import HAVE_GCC, call, fails, need_gcc, need_torch, ok

pytestmark = pytest.mark.usefixtures("elsewhere")


@need_torch
@need_gcc
def test_a_float_folder_is_calibrated_not_run_as_it_lies_there():
    ok("compile", "floats.tflite", "--board", "host", "-o", "out")
    how = ("--calibrate", "floats.npz", "--inputs", "floats.npz")
    ok("run", "out", *how, "--outputs", "folder.npz")
    ok("run", "floats.tflite", "--board", "host", *how, "--outputs", "file.npz")
    for (name, got), want in zip(np.load("folder.npz").items(), np.load("file.npz").values(), strict=True):
        np.testing.assert_array_equal(got, want, name)
    assert json.loads(ok("profile", "out", *how, "--json", "-"))["bit_exact"] is True
    x = np.load("floats.npz")["x"]
    np.savez("labelled.npz", x=x, y=np.arange(len(x)) % 3)
    assert len(json.loads(ok("evaluate", "out", *how[:2], "--data", "labelled.npz", "--json", "-"))["results"]) == 2


@need_torch
def test_files_that_are_read_are_not_written_over():
    np.savez("labelled.npz", x=np.load("floats.npz")["x"], y=np.arange(20) % 3)
    how = ("floats.tflite", "--calibrate", "floats.npz")
    assert "is an input" in fails("export", *how, "--tflite", "floats.npz")
    assert "is an input" in fails("quantize", *how, "-o", "floats.npz")
    if HAVE_GCC:
        test = ("--max-drop", "100", "--test", "labelled.npz")
        assert "is an input" in fails("quantize", *how, *test, "-o", "labelled.npz")
        host = ("--board", "host")
        assert "is an input" in fails("run", *how, *host, "--inputs", "labelled.npz", "--outputs", "floats.npz")
        assert "is an input" in fails("profile", *how, *host, "--json", "floats.npz")
        assert "is an input" in fails("evaluate", *how, *host, "--data", "labelled.npz", "--json", "floats.npz")


@need_torch
def test_options_that_quantize_need_calibration():
    without = "is given without --calibrate"
    for option in (("--method", "mse"), ("--weight-bits", "4"), ("--activation-bits", "16"), ("--keep-float", "*")):
        assert f"{option[0]}: {without}" in fails("export", "floats.tflite", *option, "--tflite", "f")
        assert without in fails("evaluate", "floats.tflite", "--data", "floats.npz", *option)


def test_shapes_stand_in_help():
    for verb in ("quantize", "evaluate", "run"):
        assert "[n, ...]" in " ".join(call(verb, "--help")[1].replace("│", " ").split()), verb


@need_torch
def test_quantize_keeps_layers_in_float():
    [layer] = (n.name for n in tiny_models.floats().nodes)
    ok("quantize", "floats.tflite", "--calibrate", "floats.npz", "-o", "q.tflite", "--keep-float", layer, "--report")
    assert json.loads(ok("inspect", "q.tflite", "--json"))["kind"] == "float"
    assert "The outputs have" in ok("quantize", "floats.tflite", "--calibrate", "floats.npz", "--report")
    assert "-o: is missing" in fails("quantize", "floats.tflite", "--calibrate", "floats.npz")


@need_torch
@need_gcc
def test_bits_within_a_budget():
    [layer] = (n.name for n in tiny_models.floats().nodes)
    how = ("floats.tflite", "--calibrate", "floats.npz", "-o", "q.tflite")
    assert f"Bits of weights: {layer} 4" in ok("quantize", *how, "--weight-bytes", "10")  # 3 rows of 6 weights
    assert json.loads(ok("inspect", "q.tflite", "--json"))["parameter_bytes"] == 3 * 3 + 3 * 4
    assert f"{layer} 8" in ok("quantize", *how, "--weight-bytes", "1000")
    assert "Allowed: 6 or more" in fails("quantize", *how, "--weight-bytes", "5")
    x = np.load("floats.npz")["x"]
    graph = tiny_models.floats()
    y = (x.reshape(len(x), 6) @ graph.tensors["w"].data.T).argmax(1)
    np.savez("labelled.npz", x=x, y=y)
    assert f"{layer} 2" in ok("quantize", *how, "--max-drop", "100", "--test", "labelled.npz")
    np.savez("labelled.npz", x=x, y=(y + 1) % 3)  # floats are never right: nothing can be lost
    assert f"{layer} 2" in ok("quantize", *how, "--max-drop", "0", "--test", "labelled.npz")
    for options, said in (
        (("--max-drop", "1"), "--test: is missing"), (("--test", "labelled.npz"), "--max-drop: is missing"),
        (("--weight-bytes", "9", "--weight-bits", "4"), "is given with --weight-bits"),
        (("--weight-bytes", "9", "--activation-bits", "16"), "is given with --activation-bits 16"),
        (("--weight-bytes", "9", "--max-drop", "1", "--test", "labelled.npz"), "One budget at a time"),
    ):  # fmt: skip
        assert said in fails("quantize", *how, *options)
