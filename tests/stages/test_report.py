"""What a quantization lost and where; the verbs quantize and evaluate."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from intaglio import arrays, interpret, models
from intaglio.emit import tflite as writer
from intaglio.errors import UnsupportedError
from intaglio.frontends import tflite as reader

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch_zoo import seq  # noqa: E402

import intaglio  # noqa: E402
from intaglio.accuracy import classes_of, count  # noqa: E402
from intaglio.cli import app  # noqa: E402
from intaglio.floats.run import run_float  # noqa: E402
from intaglio.floats.simplify import simplify  # noqa: E402
from intaglio.frontends import torch as frontend  # noqa: E402
from intaglio.quantize.calibrate import calibrate  # noqa: E402
from intaglio.quantize.explain import CAP, explain  # noqa: E402
from intaglio.quantize.post_training import post_training, quantize  # noqa: E402

torch.set_num_threads(1)
need_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
M4 = "qemu-mps2-an386"
need_m4 = pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None or shutil.which("qemu-system-arm") is None,
    reason="arm-none-eabi-gcc or qemu-system-arm is not installed",
)
X = np.random.default_rng(0).normal(size=(40, 8, 8, 3)).astype(np.float32)


def network(spoil=None):
    torch.manual_seed(2)
    module = seq(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)).eval()
    if spoil is not None:
        with torch.no_grad():
            spoil(module)
    return simplify(frontend.load(module, torch.zeros(1, 3, 8, 8), "net"))


def explained(graph, ranges=None):
    q = quantize(graph, ranges or calibrate(graph, X))
    return q, explain(graph, q, [X])


# ---- the report -------------------------------------------------------------------------------------------------


def test_report_agrees_with_the_integers():
    graph = network()
    q, report = explained(graph)
    assert [r.op for r in report.layers] == ["input", "conv2d", "conv2d", "fully_connected"]
    assert report.samples == 32
    [want] = run_float(graph, [X[:32]])
    t, out = q.tensors[q.inputs[0]], q.tensors[q.outputs[0]]
    ints = np.clip(np.round(X[:32] / t.scale) + t.zero_point, -128, 127).astype(np.int8)
    got = (interpret.run(q, [ints])[0].reshape(want.shape).astype(float) - out.zero_point) * out.scale
    sqnr = 10 * np.log10((want.astype(float) ** 2).sum() / ((want - got) ** 2).sum())
    last = report.layers[-1]
    assert report.output_db == pytest.approx(sqnr, abs=1e-6) and last.sqnr_db == pytest.approx(sqnr, abs=1e-6)
    cosine = float((want * got).sum() / np.linalg.norm(want) / np.linalg.norm(got))
    assert last.cosine == pytest.approx(cosine, abs=1e-6)
    assert len(last.worst_channels) == 3
    each = [10 * np.log10((want[:, i] ** 2).sum() / ((want - got)[:, i] ** 2).sum()) for i in range(4)]
    assert last.worst_channels[0][0] == int(np.argmin(each))
    assert last.worst_channels[0][1] == pytest.approx(min(each), abs=1e-3)
    # Nothing is clipped by min-max; the input's error is a uniform step's; alone, each does less harm than all.
    assert all(r.saturated == 0 for r in report.layers)
    uniform = 10 * np.log10((X[:32].astype(float) ** 2).mean() / (t.scale**2 / 12))
    assert report.layers[0].sqnr_db == pytest.approx(uniform, abs=0.3)
    assert all(r.alone_db > report.output_db for r in report.layers)
    # Independent errors add up to about the whole.
    noise = sum(10 ** (-r.alone_db / 10) for r in report.layers)
    assert -10 * np.log10(noise) == pytest.approx(report.output_db, abs=2.0)


def test_report_names_the_layer_that_is_clipped():
    graph = network()
    ranges = calibrate(graph, X)
    name = graph.nodes[0].outputs[0]
    _, report = explained(graph, {**ranges, name: (0.0, ranges[name][1] / 5)})
    worst = report.worst[0]
    assert worst.name == graph.nodes[0].name and worst.saturated > 0.01
    assert "clipped" in report.advice[0] and "minmax" in report.advice[0]


def test_report_names_bad_weights():
    def spoil(module):
        w = module[2].weight
        w[:, 0, 0, 0] = 60.0 * w.abs().max()  # the rest of each channel has two steps left

    graph = network(spoil)
    _, report = explained(graph)
    worst = report.worst[0]
    assert worst.op == "conv2d" and worst.name == graph.nodes[1].name
    assert worst.weights_db is not None and worst.weights_db < worst.alone_db + 3
    assert "rounding its weights" in report.advice[0]


def test_report_names_uneven_channels():
    def spoil(module):
        by = torch.ones(8)
        by[0] = 2000.0
        module[0].weight.mul_(by.reshape(-1, 1, 1, 1))
        module[0].bias.mul_(by)
        module[2].weight.div_(by.reshape(1, -1, 1, 1))

    graph = network(spoil)
    _, report = explained(graph)
    worst = report.worst[0]
    assert worst.name == graph.nodes[0].name and worst.median_range < 1 / 500
    assert "--equalize" in report.advice[0] and "half of its channels" in report.advice[0]
    assert {index for index, _ in worst.worst_channels} & {0} == set()


def test_report_of_constants_and_softmax():
    """Tensors of zeros have no signal: figures stay finite, and JSON has no NaN."""

    def spoil(module):
        module[0].bias[:] = -1e3

    _, report = explained(network(spoil))
    json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert report.layers[1].worst_channels == ()
    assert report.layers[1].sqnr_db == CAP and report.layers[1].cosine == 1.0 and report.layers[1].median_range == 1.0
    graph = simplify(frontend.load(seq(nn.Linear(6, 4), nn.Softmax(1)).eval(), torch.zeros(1, 6), "soft"))
    x = (20 * np.random.default_rng(1).normal(size=(9, 6))).astype(np.float32)
    report = explain(graph, post_training(graph, x), [x])
    assert report.samples == 9 and report.layers[-1].op == "softmax"
    advice = dict(zip((r.op for r in report.worst), report.advice, strict=True))
    assert "softmax" not in advice or "specification" in advice["softmax"]


# ---- accuracy ---------------------------------------------------------------------------------------------------


def test_count():
    scores = np.array([[3, 1, 2], [1, 1, 0], [0, 5, 5], [0, 1, 9]], np.int8)
    found = count("here", scores, np.array([0, 1, 1, 0]))
    assert (found.samples, found.right, found.tied, found.top1) == (4, 2, 1, 0.5)
    assert [(c.label, c.samples, c.right) for c in found.classes] == [(0, 2, 1), (1, 2, 1)]


@pytest.mark.parametrize("make", [tiny_models.two_inputs, tiny_models.streaming])
def test_not_a_classifier(make):
    graph = make()
    with pytest.raises(UnsupportedError, match=r"outputs|state"):
        classes_of(graph.name, models.ports(graph)[1], len(graph.states()))


# ---- the verbs --------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def files():
    """A float model, one of integers, samples with labels: the float model's own answers, every tenth spoilt."""
    graph = network()
    Path("float.tflite").write_bytes(writer.write(graph))
    Path("image.tflite").write_bytes(writer.write(tiny_models.image()))
    [scores] = run_float(graph, [X])
    y = scores.argmax(1)
    y[::10] = (y[::10] + 1) % 4
    np.savez("data.npz", x=X, y=y)
    np.savez("x.npz", x=X)
    return y


def call(*args):
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, list(args))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def ok(*args):
    code, out, err = call(*args)
    assert code == 0 and not err, f"{args}: {code}\n{out}\n{err}"
    return out


def fails(*args):
    before = sorted(p for p in Path().rglob("*") if ".cache" not in p.parts)
    code, out, err = call(*args)
    assert code == 1 and err.startswith("error: ") and "Traceback" not in err and "\n\n" not in err, (code, out, err)
    assert sorted(p for p in Path().rglob("*") if ".cache" not in p.parts) == before
    return err


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_quantize_writes_the_model(files, method):
    out = ok("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite", "--method", method)
    assert "q.tflite: " in out and "SQNR" not in out
    expected = post_training(reader.load("float.tflite"), X, method)
    found = reader.load("q.tflite")
    ints = np.random.default_rng(1).integers(-128, 128, (3, 8, 8, 3), np.int8)
    assert np.array_equal(interpret.run(found, [ints])[0], interpret.run(expected, [ints])[0])


def test_quantize_options_change_the_model(files):
    uneven = network(lambda module: module[0].weight[::2].mul_(16.0))  # else there is nothing to equalize
    Path("float.tflite").write_bytes(writer.write(uneven))
    models = set()
    for options in ((), ("--equalize",), ("--no-bias-correction",)):
        ok("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite", *options)
        models.add(Path("q.tflite").read_bytes())
    assert len(models) == 3


@pytest.mark.parametrize("options", [(), ("--equalize",)])
def test_quantize_reports(files, options):
    base = ("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite", *options)
    out = ok(*base, "--report", "--json", "r.json")
    for word in ("SQNR", "cosine", "clipped", "channel", "What hurts them most", "q.tflite: "):
        assert word in out, out
    found = json.loads(Path("r.json").read_text())
    assert found["model"] == "float" and found["samples"] == 32 and found["worst"] and found["advice"]
    # Also with equalization the integers stand for the floats they are compared with.
    assert found["output_db"] > 25 and all(layer["sqnr_db"] > 20 for layer in found["layers"])
    assert json.loads(ok(*base, "--json", "-")) == found
    assert Path("q.tflite").exists()


def test_quantize_refuses(files):
    calibrated = ("--calibrate", "x.npz", "-o", "q.tflite")
    assert "quantized already" in fails("quantize", "image.tflite", *calibrated)
    assert "input of this command" in fails("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "float.tflite")
    assert "nowhere.npz" in fails("quantize", "float.tflite", "--calibrate", "nowhere.npz", "-o", "q.tflite")
    np.savez("bad.npz", x=X[:, :5])
    assert "[40, 5, 8, 3]" in fails("quantize", "float.tflite", "--calibrate", "bad.npz", "-o", "q.tflite")
    np.savez("bad.npz", x=np.where(X > 1, np.nan, X))
    assert "NaN" in fails("quantize", "float.tflite", "--calibrate", "bad.npz", "-o", "q.tflite", "--report")
    assert call("quantize", "float.tflite", *calibrated, "--method", "magic")[0] == 2
    assert call("quantize", "float.tflite", "-o", "q.tflite")[0] == 2


def integer_right(y):
    """How many the integers get right, from the reference."""
    graph = reader.load("q.tflite")
    batch = arrays.batch({"x": X}, models.ports(graph)[0], "X")
    return int((interpret.run(graph, batch.arrays)[0].reshape(40, -1).argmax(1) == y).sum())


@need_gcc
def test_evaluate_floats_and_host(files, monkeypatch):
    monkeypatch.setattr("intaglio.judge.PORTION", 16)  # 40 samples: portions of 16, 16 and 8
    out = ok("evaluate", "float.tflite", "--data", "data.npz")
    assert "90.00%" in out and "36" in out and "host" not in out
    ok("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite")
    right = integer_right(files)
    out = ok("evaluate", "q.tflite", "--data", "data.npz", "--board", "host", "--json", "e.json")
    assert f"{right / 40:.2%}" in out and "on host" in out and "class" in out
    [host] = json.loads(Path("e.json").read_text())["results"]
    assert host["right"] == right and host["samples"] == 40 and host["top1"] == right / 40
    assert sum(c["right"] for c in host["classes"]) == right and sum(c["samples"] for c in host["classes"]) == 40
    both = json.loads(
        ok("evaluate", "float.tflite", "--data", "data.npz", "--board", "host", "--calibrate", "x.npz", "--json", "-")
    )
    assert [r["what"] for r in both["results"]] == ["float graph", "on host"]
    assert [r["right"] for r in both["results"]] == [36, right]


@need_m4
def test_evaluate_in_qemu_and_from_a_folder(files):
    ok("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite")
    ok("compile", "q.tflite", "--board", M4, "-o", "out")
    right = integer_right(files)
    [found] = json.loads(ok("evaluate", "out", "--data", "data.npz", "--json", "-"))["results"]
    assert found["what"] == f"on {M4}" and found["right"] == right


@need_gcc
def test_evaluate_refuses(files):
    ok("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite")
    host = ("--board", "host")
    assert "no array y" in fails("evaluate", "q.tflite", "--data", "x.npz", *host)
    assert "no array y" in fails("evaluate", "float.tflite", "--data", "x.npz")
    for y, said in [
        (files[:-1], "shape [39]"), (files.astype(float), "dtype float64"), (files + 1, "holds 4"), (files - 1, "-1"),
        (np.eye(4)[files], "shape [40, 4]"),
    ]:  # fmt: skip
        np.savez("bad.npz", x=X, y=y)
        assert said in fails("evaluate", "q.tflite", "--data", "bad.npz", *host)
    np.savez("column.npz", x=X, y=files.reshape(-1, 1).astype(np.uint8))
    ok("evaluate", "q.tflite", "--data", "column.npz", *host)
    assert "--board" in fails("evaluate", "q.tflite", "--data", "data.npz")
    assert "no-board" in fails("evaluate", "q.tflite", "--data", "data.npz", "--board", "no-board")
    Path("streaming.tflite").write_bytes(writer.write(tiny_models.streaming()))
    np.savez("s.npz", x=np.zeros((3, 4), np.int8), y=np.zeros(3, int))
    assert "state" in fails("evaluate", "streaming.tflite", "--data", "s.npz", *host)


def test_without_pytorch(files):
    """The message, not a traceback, where only the core is installed."""
    source = str(Path(intaglio.__file__).parents[1])
    Path("hide").mkdir()
    Path("hide/torch.py").write_text("raise ImportError('hidden')\n")
    env = {**os.environ, "PYTHONPATH": f"{Path('hide').resolve()}{os.pathsep}{source}"}
    command = [sys.executable, "-m", "intaglio", "quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "pip install" in done.stderr and "Traceback" not in done.stderr
    assert not Path("q.tflite").exists()


def test_pool_keeps_its_inputs_scale():
    """A peaked map: its mean is small beside its range, and an average pool has to use the same steps for both."""
    torch.manual_seed(4)
    module = seq(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(8, 4)).eval()
    graph = simplify(frontend.load(module, torch.zeros(1, 3, 8, 8), "pooled"))
    if not any(n.op.name == "average_pool2d" for n in graph.nodes):
        pytest.fail("the front end no longer makes an average pool of this")
    x = np.where(np.random.default_rng(5).random((40, 8, 8, 1)) < 0.02, 20 * X, 0.05 * X).astype(np.float32)
    report = explain(graph, quantize(graph, calibrate(graph, x)), [x])
    pool = next(r for r in report.layers if r.op == "average_pool2d")
    assert pool in report.worst
    assert any("has to keep its input's scale" in line for line in report.advice)


@need_gcc
def test_evaluate_from_python(files):
    ok("quantize", "float.tflite", "--calibrate", "x.npz", "-o", "q.tflite")
    found = intaglio.evaluate("q.tflite", "host", X, files)
    assert found.right == integer_right(files) and found.samples == 40
    with pytest.raises(intaglio.IntaglioError, match="labels: has shape"):
        intaglio.evaluate("q.tflite", "host", X, files[:5])
