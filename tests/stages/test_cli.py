"""The command line: every verb, and that bad input is one paragraph, exit status 1 and nothing half-written."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_models
import pytest
import tflite
import tiny_models
from command_line import M4, call, fails, need_gcc, need_m4, need_torch, ok, program

import intaglio
from intaglio import assets, boards, interpret
from intaglio.__main__ import main as start
from intaglio.emit import tflite as writer
from intaglio.frontends import tflite as reader
from intaglio.ops.max_pool2d import MaxPool2D

pytestmark = pytest.mark.usefixtures("elsewhere")


# ---- what works -------------------------------------------------------------------------------------------------


def test_inspect():
    out = ok("inspect", "image.tflite")
    for word in ("conv2d", "3x3x3", "softmax", "0.0625, -3", "channel", "6 operators"):
        assert word in out
    out = ok("inspect", "floats.tflite")
    assert "float" in out and "--calibrate" in out
    assert "state:past" in ok("inspect", "streaming.tflite")


def test_inspect_json():
    found = json.loads(ok("inspect", "image.tflite", "--json"))
    assert found["macs"] == tiny_models.image().macs() and found["unsupported"] == []
    assert found["layers"][0]["op"] == "conv2d" and found["inputs"][0]["shape"] == [1, 6, 6, 2]


def test_inspect_shows_all_that_is_unsupported_and_the_rest():
    code, out, err = call("inspect", "unsupported.tflite")
    assert code == 1 and "conv2d" in out and "! COS" in out and "! RFFT2D" in out
    assert err.startswith("error: unsupported.tflite: 2 unsupported things:\n  - ") and err.count("\n  - ") == 2
    code, out, _ = call("inspect", "unsupported.tflite", "--json")
    assert code == 1 and len(json.loads(out)["unsupported"]) == 2


def test_compile_without_firmware_and_again():
    for _ in range(2):
        out = ok("compile", "image.tflite", "--board", M4, "--no-build", "-o", "deep/out")
        assert "arena" in out
        names = {p.relative_to("deep/out").as_posix() for p in Path("deep/out").rglob("*") if p.is_file()}
        assert {"image.c", "image.h", "itg.h", "intaglio.json", "model.tflite", "kernels/conv2d.c"} <= names
    first = {p: p.read_bytes() for p in Path("deep/out").rglob("*") if p.is_file()}
    ok("compile", "deep/out", "--board", M4, "--no-build", "-o", "again")
    assert {Path("again", *p.parts[2:]): b for p, b in first.items()} == {
        p: p.read_bytes() for p in Path("again").rglob("*") if p.is_file()
    }


@need_gcc
def test_a_float_model_becomes_float32_c():
    out = ok("compile", "floats.tflite", "--board", "host", "-o", "out")
    assert "float32" in out and "--calibrate" in out
    ok("run", "out", "--inputs", "floats.npz", "--outputs", "y.npz")
    graph = tiny_models.floats()
    want = np.load("floats.npz")["x"] @ graph.tensors["w"].data.T
    assert np.allclose(np.load("y.npz")["y"].reshape(want.shape), want, rtol=1e-5, atol=1e-6)
    report = json.loads(ok("profile", "out", "--json", "-"))
    assert report["bit_exact"] is None and 0 <= report["relative_error"] < 1e-6
    assert "float32 is not bit-exact" in " ".join(ok("profile", "out").split())


def test_layers_kept_in_float():
    args = ("--calibrate", "floats.npz", "--board", "host", "--no-build", "-o", "out")
    [layer] = (n.name for n in tiny_models.floats().nodes)
    out = ok("compile", "floats.tflite", *args, "--keep-float", layer)
    assert "It computes in float32" in out and "--calibrate" not in out
    assert Path("out/kernels/fully_connected_f32.c").is_file()
    assert f"Allowed: {layer}" in fails("compile", "floats.tflite", *args[:-1], "out2", "--keep-float", "nothing")
    err = fails("compile", "floats.tflite", "--board", "host", "-o", "out2", "--keep-float", layer)
    assert "without --calibrate" in err


@need_gcc
def test_a_layer_kept_in_float_gives_floats():
    """Floats go in, integers come out of the last layer: `run` shows them as the numbers that they stand for."""
    w, v = onnx_models.rng_array(1, 5, 4), onnx_models.rng_array(2, 4, 3)
    nodes = [onnx_models.node("MatMul", "x w", "first"), onnx_models.node("MatMul", "first v", "y")]
    Path("pair.onnx").write_bytes(onnx_models.build(nodes, {"x": [1, 5]}, {"y": [1, 3]}, {"w": w, "v": v}))
    x = onnx_models.rng_array(3, 16, 5)
    np.savez("pair.npz", x=x)
    how = ("--board", "host", "--calibrate", "pair.npz", "--keep-float", "first")
    ok("run", "pair.onnx", *how, "--inputs", "pair.npz", "--outputs", "y.npz")
    found, want = np.load("y.npz")["y"].reshape(16, 3), x @ w @ v
    assert found.dtype == np.float32 and np.abs(found - want).max() < 0.03 * np.abs(want).max()
    layers = json.loads(ok("profile", "pair.onnx", *how, "--json", "-"))["layers"]
    assert [layer["op"] for layer in layers] == ["fully_connected", "quantize", "fully_connected"]
    assert "without --calibrate" in fails("run", "pair.onnx", *how[:2], *how[4:], "--inputs", "pair.npz")
    np.savez("pair.npz", x=x, y=want.argmax(1))
    found = json.loads(ok("evaluate", "pair.onnx", *how, "--data", "pair.npz", "--json", "-"))
    assert found["results"][1]["top1"] > 0.8


@need_torch
def test_weights_of_few_bits():
    [layer] = (n.name for n in tiny_models.floats().nodes)
    calibrated = ("floats.tflite", "--calibrate", "floats.npz")
    on_host = ("--board", "host", "--no-build", "-o", "out")
    ok("compile", *calibrated, *on_host, "--weight-bits", "4")
    assert Path("out/kernels/fully_connected_s4.c").is_file()
    assert json.loads(Path("out/intaglio.json").read_text())["weight_bytes"] == 3 * 3 + 3 * 4
    # The later one wins, and a name may hold "=".
    ok("compile", *calibrated, *on_host, "--weight-bits", "8", "--weight-bits", f"{layer[:1]}*=2")
    assert Path("out/kernels/fully_connected_s2.c").is_file()
    ok("compile", *calibrated, *on_host, "--weight-bits", f"{layer}=2", "--weight-bits", "8")
    assert Path("out/kernels/fully_connected.c").is_file()
    ok("quantize", *calibrated, "-o", "q.tflite", "--weight-bits", "2")
    assert json.loads(ok("inspect", "q.tflite", "--json"))["parameter_bytes"] == 3 * 2 + 3 * 4
    ok("export", *calibrated, "--tflite", "e.tflite", "--weight-bits", "4")
    assert json.loads(ok("inspect", "e.tflite", "--json"))["parameter_bytes"] == 3 * 3 + 3 * 4
    fresh = (*on_host[:-1], "new")
    for bits in ("3", "four", "-4", "", f"{layer}=", "x" * 3):
        assert "8, 4 or 2" in fails("compile", *calibrated, *fresh, "--weight-bits", bits)
    assert f"Allowed: {layer}" in fails("compile", *calibrated, *fresh, "--weight-bits", "nothing=4")
    assert "without --calibrate" in fails("compile", "floats.tflite", *fresh, "--weight-bits", "4")


def test_a_wrong_float32_kernel_is_found():
    ok("compile", "floats.tflite", "--board", "host", "-o", "out")
    kernel = Path("out/kernels/fully_connected_f32.c")
    kernel.write_text(kernel.read_text().replace("w[i] * row[i]", "w[i]"))
    assert "differs from the reference" in fails("profile", "out")


def test_run_on_the_host_integers_and_floats():
    graph = reader.parse(Path("image.tflite").read_bytes(), "image", "image")
    x = np.load("x.npz")["x"]
    want = interpret.run(graph, [x])[0][:, 0]
    ok("compile", "image.tflite", "--board", "host", "-o", "out")
    assert Path("out/firmware.elf").exists()
    ok("run", "out", "--inputs", "x.npz", "--outputs", "y.npz")
    assert np.array_equal(np.load("y.npz")["y"], want)
    np.savez("f.npz", x=((x.astype(np.float32) + 3) * np.float32(0.0625)))
    ok("run", "image.tflite", "--board", "host", "--inputs", "f.npz", "--outputs", "y.npz")
    assert np.array_equal(np.load("y.npz")["y"], (want.astype(np.float32) + 128) / 256)
    assert "inference" in ok("run", "out", "--inputs", "x.npz")


@need_gcc
def test_two_inputs_go_by_name():
    x = {"left": np.ones((3, 5), np.int8), "right": np.zeros((3, 1, 5), np.int8)}
    np.savez("two.npz", **x)
    ok("run", "two_inputs.tflite", "--board", "host", "--inputs", "two.npz", "--outputs", "y.npz")
    with np.load("y.npz") as found:
        assert sorted(found.files) == sorted(tiny_models.two_inputs().outputs)
        y = dict(found)
    err = fails("run", "two_inputs.tflite", "--board", "host", "--inputs", "x.npz")
    assert "no array left" in err and "by position: 0, 1, or x0, x1" in err
    for keys in (("0", "1"), ("x0", "x1")):
        np.savez("two.npz", **dict(zip(keys, x.values(), strict=True)))
        ok("run", "two_inputs.tflite", "--board", "host", "--inputs", "two.npz", "--outputs", "y.npz")
        with np.load("y.npz") as found:
            assert all((found[name] == value).all() and value.shape[:1] == (3,) for name, value in y.items())


@need_gcc
@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_long_names_stay_whole(kind):
    """Once cut at 200 characters: the .npz under an input's own name was refused, and its outputs' names broken."""
    names = [f"module/{'block/' * 60}{end}" for end in ("left", "right", "sum", "difference")]
    nodes = [onnx_models.node(op, " ".join(names[:2]), out) for op, out in zip(("Add", "Sub"), names[2:], strict=True)]
    data = onnx_models.build(nodes, {n: [1, 4] for n in names[:2]}, {n: [1, 4] for n in names[2:]})
    Path("long.onnx").write_bytes(data)
    if kind == "tflite":
        ok("export", "long.onnx", "--tflite", "long.tflite")
    x = {name: onnx_models.rng_array(k, 3, 4) for k, name in enumerate(names[:2])}
    np.savez("long.npz", **x)
    ok("compile", f"long.{kind}", "--board", "host", "-o", "long")
    assert [p["name"] for p in json.loads(Path("long/intaglio.json").read_text())["inputs"]] == names[:2]
    for source in (f"long.{kind}", "long"):
        ok("run", source, "--board", "host", "--inputs", "long.npz", "--outputs", "y.npz")
        with np.load("y.npz") as found:
            assert found.files == names[2:]
            assert np.allclose(found[names[3]], x[names[0]] - x[names[1]])
    ok("compile", f"long.{kind}", "--calibrate", "long.npz", "--board", "host", "--no-build", "-o", "int8")
    np.savez("long.npz", x0=x[names[0]], x1=x[names[1]])
    ok("compile", f"long.{kind}", "--calibrate", "long.npz", "--board", "host", "--no-build", "-o", "int8")


@need_m4
@pytest.mark.parametrize("source", ["image.tflite", "streaming.tflite"])
def test_profile_json_alone_on_stdout(source):
    found = json.loads(ok("profile", source, "--board", M4, "--json", "-"))
    assert found["bit_exact"] is True and found["board"] == M4 and found["latency"]["instructions"] > 0
    assert found["memory"]["arena_bytes"] == found["memory"]["arena_high_water"]
    assert Path(found["elf"]).is_file()


@need_m4
def test_profile_of_a_folder_as_tables_and_as_a_file():
    ok("compile", "image.tflite", "--board", M4, "-o", "out")
    out = ok("profile", "out", "--inputs", "x.npz", "--json", "report.json", "--qemu-args", "-name 'a b'")
    assert "byte for byte" in out and "instructions" in out
    assert json.loads(Path("report.json").read_text())["layers"][0]["op"] == "conv2d"
    assert "cannot be split" in fails("profile", "out", "--qemu-args", "'")


@need_gcc
def test_a_mismatch_names_element_and_layer(monkeypatch):
    # The C of the pooling layer clamps what the reference does not.
    lower = MaxPool2D.lower

    def wrong(self, node, graph):
        return lower(replace(self, activation="relu_n1_to_1"), node, graph)

    monkeypatch.setattr(MaxPool2D, "lower", wrong)
    code, out, err = call("profile", "big.tflite", "--board", "host")
    assert code == 1 and "DIFFERENT" in out
    assert "is not byte-exact: output max_pool2d_1 of inference 0 differs first at element" in err
    assert "first layer that differs is max_pool2d_1 (max_pool2d)" in err


def test_export_for_one_runtime_and_for_both():
    """image.tflite ends in a FULLY_CONNECTED, which LiteRT rounds otherwise now and then."""
    out = ok("export", "image.tflite", "--tflite", "both.tflite")
    assert "written otherwise: fully_connected" in out and "LiteRT" in out
    assert "written otherwise" not in ok("export", "image.tflite", "--tflite", "micro.tflite", "--for", "tflm")
    assert read_ops("micro.tflite")[-2:] == ["FULLY_CONNECTED", "SOFTMAX"] and "CONV_2D" in read_ops("both.tflite")
    assert call("export", "image.tflite", "--tflite", "x.tflite", "--for", "tfjs")[0] != 0
    assert not Path("x.tflite").exists()


def read_ops(path):
    model = tflite.Model.GetRootAs(Path(path).read_bytes(), 0)
    names = {v: k for k, v in vars(tflite.BuiltinOperator).items() if isinstance(v, int)}
    sub = model.Subgraphs(0)
    codes = [model.OperatorCodes(sub.Operators(i).OpcodeIndex()).BuiltinCode() for i in range(sub.OperatorsLength())]
    return [names[code] for code in codes]


@need_torch
def test_quantize_says_where_a_runtime_differs():
    out = " ".join(ok("quantize", "floats.tflite", "--calibrate", "floats.npz", "-o", "q.tflite").split())
    assert "lacks or rounds otherwise 1 of its layers" in out and "intaglio export q.tflite" in out
    assert read_ops("q.tflite") == ["FULLY_CONNECTED"]


def test_export(tmp_path):
    ok("export", "streaming.tflite", "--tflite", "again.tflite")
    graph = reader.parse(Path("again.tflite").read_bytes(), "again", "streaming")
    x = [np.arange(8, dtype=np.int8).reshape(2, 4)]
    assert np.array_equal(interpret.run(graph, x)[0], interpret.run(tiny_models.streaming(), x)[0])
    assert "is an input" in fails("export", "streaming.tflite", "--tflite", "streaming.tflite")


@need_torch
def test_calibrate():
    out = ok("compile", "floats.tflite", "--calibrate", "floats.npz", "--board", "host", "--no-build", "-o", "out")
    assert "floats.c" in out
    ok("export", "floats.tflite", "--calibrate", "floats.npz", "--method", "percentile", "--tflite", "q.tflite")
    assert json.loads(ok("inspect", "q.tflite", "--json"))["kind"] == "int8"


def test_lists():
    assert all(name in ok("boards") for name in boards.names())
    assert "cortex-m55" in ok("targets")
    out = ok("ops")
    assert "CONV_2D" in out and "ASSIGN_VARIABLE" in out and "conv2d.c" in out
    assert "layer_norm" in out and "batch_norm" not in out and "unsupported" not in out


def test_doctor(monkeypatch):
    code, out, _ = call("doctor")
    assert "Python" in out and "numpy" in out and "arm-none-eabi-gcc" in out
    assert code in (0, 1) and (code == 1) == ("MISSING" in out)
    monkeypatch.setenv("PATH", "")
    code, out, _ = call("doctor")
    assert code == 1 and "MISSING" in out
    assert "sudo apt-get install" in out and "libnewlib-arm-none-eabi" in out and "qemu-user" in out


def test_the_program():
    assert program("--version").stdout.startswith("intaglio ")
    assert "compile" in program("--help").stdout
    assert program().returncode == 2 or "Usage" in program().stdout
    wrong = program("compile", "image.tflite", "--bord", "x")
    assert wrong.returncode == 2 and "Traceback" not in wrong.stderr
    script = "import sys, intaglio.cli; print([m for m in ('torch', 'onnx', 'numpy', 'tflite') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(Path(intaglio.__file__).parents[1])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_a_mistake_of_ours_is_a_paragraph_too(monkeypatch, capsys):
    from intaglio import cli, models

    monkeypatch.setattr(models, "shown", lambda *_: {}["x"])
    monkeypatch.setattr(sys, "argv", ["intaglio", "inspect", "image.tflite"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    err = capsys.readouterr().err
    assert ended.value.code == 1 and err.startswith("error: KeyError at ") and "Traceback" not in err


@need_m4
def test_interrupted_is_quiet_and_leaves_nothing():
    # A compiler that never ends, so that the interrupt always comes in the middle of a build.
    Path("bin").mkdir()
    slow = Path("bin/arm-none-eabi-gcc")
    slow.write_text(f"#!/bin/sh\ntouch '{Path('started').resolve()}'\nexec sleep 300\n")
    slow.chmod(0o755)
    source = str(Path(intaglio.__file__).parents[1])
    path = f"{Path('bin').resolve()}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.Popen(
        [sys.executable, "-m", "intaglio", "compile", "image.tflite", "--board", M4, "-o", "out"],
        env={**os.environ, "PYTHONPATH": source, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Under `nohup make test &` the signal is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not Path("started").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == "" and err == ""
    assert not Path("out").exists() and not list(Path().glob(".out.*"))


def test_help_cuts_nothing_at_80_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for verb in ([], *([v] for v in ("run", "compile", "compress", "quantize", "evaluate", "profile", "export"))):
        shown = ok(*verb, "--help")
        assert verb or "..." not in shown.replace("[ARGS]...", ""), shown
        assert all(len(line) <= 80 for line in shown.splitlines()) and "\\[" not in shown


def test_interrupted_while_it_is_still_being_imported(monkeypatch, capsys):
    class Interrupted(types.ModuleType):
        def __getattr__(self, name):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "intaglio.cli", Interrupted("intaglio.cli"))
    with pytest.raises(SystemExit) as ended:
        start()
    assert ended.value.code == 130 and capsys.readouterr() == ("", "")


# ---- bad models -------------------------------------------------------------------------------------------------


def test_models_that_are_none():
    whole = Path("image.tflite").read_bytes()
    Path("empty.tflite").touch()
    Path("text.tflite").write_text("This is not a model.\n")
    Path("short.tflite").write_bytes(whole[: len(whole) // 2])
    Path("folder.tflite").mkdir()
    Path("model.onnx").write_bytes(whole)
    Path("model.h5").write_bytes(whole)
    for verb in (["inspect"], ["compile", "--board", "host", "-o", "out"]):
        for name, words in (
            ("empty.tflite", "is empty"),
            ("text.tflite", "not a TensorFlow Lite model"),
            ("short.tflite", "damaged"),
            ("folder.tflite", "Is a directory"),
            ("missing.tflite", "No such file"),
            ("model.onnx", "is not an ONNX model"),
            ("model.h5", "extension '.h5'"),
            ("/dev/zero", "has no extension"),
        ):
            assert words in fails(verb[0], name, *verb[1:]), name


def test_models_that_are_not_taken():
    err = fails("compile", "unsupported.tflite", "--board", "host", "-o", "out")
    assert "COS" in err and "RFFT2D" in err
    err = fails("compile", "big.tflite", "--board", "qemu-microbit", "-o", "out")
    assert "does not fit in RAM" in err and "16,384" in err and "input and output buffers" in err


# ---- bad data ---------------------------------------------------------------------------------------------------


def bad_data() -> dict[str, str]:
    """Files that do not go with `floats`, and what is said of each."""
    good = np.load("floats.npz")["x"]
    holes = good.copy()
    holes[3, 1] = np.nan
    np.savez("shape.npz", x=good[:, :5])
    np.savez("dtype.npz", x=good.astype(np.int64))
    np.savez("nan.npz", x=holes)
    np.savez("name.npz", y=good, z=good)
    np.savez("none.npz", x=good[:0])
    np.savez("objects.npz", x=np.array([{}], object))
    Path("text.npz").write_text("no")
    return {
        "shape": "shape", "dtype": "dtype", "nan": "nan", "name": "no array", "none": "sample", "objects": "dtype",
        "text": "not an .npz", "missing": "cannot be read",
    }  # fmt: skip


@need_torch
def test_calibration_data():
    for name, words in bad_data().items():
        err = fails(
            "compile", "floats.tflite", "--calibrate", f"{name}.npz", "--board", "host", "--no-build", "-o", "out"
        )
        assert f"{name}.npz" in err and words in err.lower(), err
    err = fails("compile", "image.tflite", "--calibrate", "x.npz", "--board", "host", "--no-build", "-o", "out")
    assert "quantized already" in err


def test_input_data():
    Path("ends.tflite").write_bytes(writer.write(tiny_models.float_ends()))
    for name, words in bad_data().items():
        if name != "shape":
            arr = np.load("floats.npz")["x"]
            np.savez("dtype.npz", x=np.zeros((2, 8), np.int8))
            holes = np.ones((2, 8), np.float32)
            holes[1, 1] = np.nan
            np.savez("nan.npz", x=holes)
            np.savez("none.npz", x=np.zeros((0, 8), np.float32))
            np.savez("name.npz", y=arr)
        err = fails("run", "ends.tflite", "--board", "host", "--inputs", f"{name}.npz", "--outputs", "y.npz")
        assert f"{name}.npz" in err and (words in err.lower() or "at least one" in err), err


# ---- bad boards, places and tools -------------------------------------------------------------------------------


def test_boards_that_are_none():
    assert f"Did you mean {M4}?" in fails("compile", "image.tflite", "--board", "qemu-mps2-386", "-o", "out")
    Path("mine").mkdir()
    assert "no board.toml" in fails("compile", "image.tflite", "--board", "./mine", "-o", "out")
    text = (assets.root() / "boards" / M4 / "board.toml").read_text()
    Path("mine/board.toml").write_text(text.replace("flash_bytes", "flash_byte"))
    assert "flash_byte" in fails("compile", "image.tflite", "--board", "./mine", "-o", "out")
    Path("mine/board.toml").write_text(text.replace("0x20000000", "0x00000000"))
    assert "overlap" in fails("compile", "image.tflite", "--board", "./mine", "-o", "out")
    assert "--board" in fails("run", "image.tflite", "--inputs", "x.npz")


def test_a_board_of_ones_own():
    Path("mine").mkdir()
    shutil.copy(assets.root() / "boards" / M4 / "board.toml", "mine")
    ok("compile", "image.tflite", "--board", "./mine", "--no-build", "-o", "out")
    assert json.loads(Path("out/intaglio.json").read_text())["board"] == "mine"


def test_places_that_cannot_be_written():
    common = ("compile", "image.tflite", "--board", "host", "--no-build", "-o")
    Path("full").mkdir()
    Path("full/thesis.txt").write_text("years of work")
    assert "holds other files" in fails(*common, "full")
    assert "not a folder" in fails(*common, "x.npz")
    assert "cannot be written" in fails(*common, "x.npz/out")
    assert "cannot be written" in fails(*common, "/proc/out")
    ok(*common, "out")
    Path("out/main.c").write_text("int main(void) { return 0; }")
    assert "holds other files" in fails(*common, "out")
    assert Path("full/thesis.txt").exists() and Path("out/main.c").exists()
    assert "cannot be written" in fails("export", "image.tflite", "--tflite", "missing/a.tflite")


@pytest.mark.parametrize("board", ["host", M4, "qemu-rpi4"])
def test_without_a_compiler(monkeypatch, board):
    monkeypatch.setenv("PATH", "")
    err = fails("compile", "image.tflite", "--board", board, "-o", "out")
    assert "not found on PATH" in err and "sudo apt-get install" in err


@need_m4
def test_without_qemu_and_with_one_that_hangs(tmp_path, monkeypatch):
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("arm-none-eabi-gcc", "gcc", "env", "sh"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).write_text(f'#!/bin/sh\nexec {found} "$@"\n')
        (tools / name).chmod(0o755)
    ok("compile", "image.tflite", "--board", M4, "-o", "out")
    monkeypatch.setenv("PATH", str(tools))
    assert "qemu-system-arm: not found" in fails("run", "out", "--inputs", "x.npz")
    (tools / "qemu-system-arm").write_text("#!/bin/sh\nwhile :; do :; done\n")
    (tools / "qemu-system-arm").chmod(0o755)
    err = fails("run", "out", "--inputs", "x.npz", "--outputs", "y.npz", "--timeout", "0.5")
    assert "still running after 0.5 seconds" in err


def test_damaged_folders():
    ok("compile", "image.tflite", "--board", "host", "--no-build", "-o", "out")
    manifest = Path("out/intaglio.json").read_text()
    Path("out/intaglio.json").write_text(manifest[:100])
    assert "intaglio.json" in fails("run", "out", "--inputs", "x.npz")
    Path("out/intaglio.json").write_text(manifest)
    Path("out/model.tflite").write_bytes(b"gone")
    assert "model.tflite" in fails("profile", "out")
    Path("out/image.c").unlink()
    assert "image.c" in fails("run", "out", "--inputs", "x.npz")
