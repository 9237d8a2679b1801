"""`intaglio compress`: what it prints and writes; bad input is one paragraph."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import fails, need_gcc, ok
from digits_model import digits, trained

from intaglio import graph_file
from intaglio.emit import tflite as writer

torch.set_num_threads(1)
FILES = ("digits.tflite", "--train", "train.npz", "--test", "test.npz", "-o", "out")


@pytest.fixture(autouse=True)
def data(elsewhere):
    Path("digits.tflite").write_bytes(writer.write(trained()))
    for name, (x, y) in zip(("train.npz", "test.npz"), digits(), strict=True):
        np.savez(name, x=x[:200], y=y[:200])
    Path("r.toml").write_text('[[step]]\ndo = "prune"\nsparsity = 0.5\nepochs = 1\n\n[[step]]\ndo = "quantize"\n')


@need_gcc
def test_a_run_prints_a_row_a_step_and_can_be_compiled():
    said = ok("compress", *FILES, "--recipe", "r.toml")
    report = json.loads(Path("out/report.json").read_text())
    for k, step in enumerate(report["steps"]):
        assert f"{k}  {step['do']:<8}" in said and f"{step['accuracy']:.2%}" in said
    assert "bytes of weights instead of" in said
    assert "out: model.itg, model.tflite, report.md, report.html, report.json" in said
    assert ok("compress", *FILES, "--recipe", "r.toml") == said
    for name in ("model.itg", "model.tflite"):
        ok("compile", f"out/{name}", "--board", "host", "-o", "c")
        accuracy = json.loads(ok("evaluate", f"out/{name}", "--board", "host", "--data", "test.npz", "--json", "-"))
        assert accuracy["results"][0]["top1"] == report["steps"][-1]["accuracy"]
    # A graph file is a model like any other, and keeps its name.
    assert Path("c/digits.c").exists() or Path("c/model.c").exists()
    assert json.loads(ok("inspect", "out/model.itg", "--json"))["kind"] == "int8"


def test_bad_input_is_a_paragraph():
    assert "unknown. Allowed: deep-compression" in fails("compress", *FILES, "--recipe", "deep")
    Path("bad.toml").write_text('[[step]]\ndo = "prune"\nsparsity = 1.5\n')
    assert "bad.toml: step 1 (prune), sparsity: is 1.5; allowed" in fails("compress", *FILES, "--recipe", "bad.toml")
    assert "needs it. Allowed: --train X.npz" in fails("compress", "digits.tflite", "-o", "out", "--recipe", "r.toml")
    x, y = digits()[0]
    np.savez("train.npz", x=x, y=y + 1)
    assert "train.npz: y: holds 10 at" in fails("compress", *FILES, "--recipe", "r.toml")
    np.savez("train.npz", x=x)
    assert "train.npz: holds no array y" in fails("compress", *FILES, "--recipe", "r.toml")
    assert "--restart" not in fails("compress", *FILES, "--recipe", "r.toml")
    assert not Path("out").exists()
    Path("q.itg").write_bytes(graph_file.write(trained())[:-3])
    assert "q.itg: is damaged" in fails("compress", "q.itg", "-o", "out", "--recipe", "lossless")
    assert "takes a quantized model" in fails("compress", "digits.tflite", "-o", "out", "--recipe", "lossless")
