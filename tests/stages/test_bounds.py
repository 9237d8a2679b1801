"""No file takes memory or time without a bound: each case was once a bug."""

from __future__ import annotations

import math
import resource
import stat
import time
import zipfile
from dataclasses import replace

import numpy as np
import onnx
import pytest
import tiny_models
from graph_files import packed, parts
from judge import limited
from onnx import TensorProto
from onnx_models import build, node

from intaglio import arrays, boards, graph_file, pipeline, prepare, runners, targets, tools
from intaglio.errors import (
    BoardError,
    DataError,
    GraphError,
    ModelError,
    RecipeError,
    RunError,
    ToolError,
    UnsupportedError,
)
from intaglio.frontends import onnx as onnx_frontend
from intaglio.graph import Graph, Node, Tensor, constant, verify
from intaglio.manifest import Port
from intaglio.ops.batch_norm import BatchNorm
from intaglio.ops.leaky_relu import LeakyRelu
from intaglio.ops.quantize import Quantize
from intaglio.recipes import recipe

INT8 = Port(name="x", shape=(1, 2, 3), dtype="int8", scale=0.5, zero_point=0)


# ---- .npz -----------------------------------------------------------------------------------------------------------


def npy(shape: object, descr: str = "|i1", version: tuple[int, int] = (1, 0), length: int | None = None) -> bytes:
    """A .npy without data; `length` is what it claims of its header."""
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    size = 2 if version == (1, 0) else 4
    return b"\x93NUMPY" + bytes(version) + (length or len(text)).to_bytes(size, "little") + text


def archive(path, body: bytes, zeros: int = 0, method: int = zipfile.ZIP_DEFLATED):
    """An .npz of one array, its data so many zeros."""
    with zipfile.ZipFile(path, "w", method) as z, z.open("x.npy", "w", force_zip64=True) as stream:
        stream.write(body)
        for at in range(0, zeros, 1 << 24):
            stream.write(bytes(min(1 << 24, zeros - at)))
    return path


@pytest.mark.parametrize(
    "shape",
    [(True, 2, 3), (2**62, 2, 3), (2**62, 0), (1,) * 33, (-1, 2, 3), (1.0, 2, 3), None, [5, 2, 3], (2**31, 2, 3)],
)
def test_shapes_that_are_none(tmp_path, shape):
    with pytest.raises(DataError, match=r"x\.npz: x"):
        arrays.load(archive(tmp_path / "x.npz", npy(shape), 64), [INT8])


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path):
    path = archive(tmp_path / "x.npz", npy((1, 2, 3), version=(2, 0), length=(1 << 32) - 1), 1 << 26)
    with limited(1 << 26), pytest.raises(DataError, match=r"x\.npz: x: is damaged \(a header of 4,294,967,295 bytes"):
        arrays.load(path, [INT8])


def test_a_shape_is_compared_before_its_data_is_inflated(tmp_path):
    path = archive(tmp_path / "x.npz", npy((1 << 27,)), 1 << 27)
    with limited(1 << 26), pytest.raises(DataError, match=r"has shape \[134217728\]"):
        arrays.load(path, [INT8])


def test_what_inflates_too_far_is_refused(tmp_path):
    count = (arrays.MAX_INFLATED // 6) + 1
    path = archive(tmp_path / "x.npz", npy((count, 2, 3)))
    with limited(1 << 26), pytest.raises(DataError, match=r"bytes.*without compression"):
        arrays.load(path, [INT8])


def test_damaged_compression_of_every_method(tmp_path):
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        path = archive(tmp_path / "x.npz", npy((4, 2, 3)), 24, method)
        data = bytearray(path.read_bytes())
        data[45:60] = b"\xff" * 15
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"x\.npz"):
            arrays.load(path, [INT8])


# ---- ONNX -----------------------------------------------------------------------------------------------------------


def test_external_data_is_limited_in_all(tmp_path, monkeypatch):
    made = onnx.load_model_from_string(
        build([node("Concat", "x a b c", "y", axis=1)], {"x": [1, 4]}, {"y": [1, 16]},
              {n: np.zeros((1, 4), np.float32) for n in "abc"})
    )  # fmt: skip
    for t in made.graph.initializer:
        t.ClearField("raw_data")
        t.data_location = TensorProto.EXTERNAL
        t.external_data.add(key="location", value="w.bin")
    (tmp_path / "w.bin").write_bytes(bytes(16))
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    assert pipeline.load(tmp_path / "m.onnx").outputs
    monkeypatch.setattr("intaglio.frontends.onnx_file._Beside.__init__.__defaults__", (40,))
    with pytest.raises(ModelError, match=r"initializer c: refers to the file 'w\.bin', and with it"):
        pipeline.load(tmp_path / "m.onnx")


@pytest.mark.parametrize("lacks", ["before", "after", "norm"])
def test_idioms_with_too_few_inputs_are_refused_by_name(lacks):
    nodes = [
        node("Reshape", "x s" if lacks != "before" else "x", "a"),
        node("InstanceNormalization", "a one zero" if lacks != "norm" else "a one", "b"),
        node("Reshape", "b t" if lacks != "after" else "b", "c"),
        node("Relu", "c", "y"),
    ]
    constants = {"s": np.array([0, 2, -1]), "t": np.array([1, 4, 3, 3]), "one": np.ones(2, np.float32),
                 "zero": np.zeros(2, np.float32)}  # fmt: skip
    with pytest.raises((UnsupportedError, ModelError), match=r"m\.onnx"):
        onnx_frontend.parse(build(nodes, {"x": [1, 4, 3, 3]}, {"y": [1, 4, 3, 3]}, constants), "m.onnx", "m")


def test_thousands_of_values_of_one_name_get_names_quickly():
    from intaglio.frontends.layout import Builder

    b = Builder()
    for _ in range(20_000):
        b.input("x", (1, 1))
    assert len(b.tensors) == 20_000 and "x_20000" in b.tensors


# ---- graphs ---------------------------------------------------------------------------------------------------------


def refused(change) -> ModelError:
    header, raw = parts(graph_file.write(tiny_models.streaming()))
    change(header)
    with pytest.raises(ModelError) as error:
        graph_file.parse(packed(header, raw), "m.itg")
    return error.value


@pytest.mark.parametrize("name", ["a b", "", "1a", "a/b", "é", "n" * 101])
def test_a_graph_has_a_name_that_c_could_have(name):
    assert "a name that C could have" in str(refused(lambda h: h.update(name=name)))


def test_operators_have_the_inputs_that_they_take():
    add = next(i for i, n in enumerate(tiny_models.streaming().nodes) if n.op.name == "add")
    for ins in (["x"], ["x", "x", "x"], ["x", ""], []):
        assert "inputs of" in str(refused(lambda h, ins=ins: h["nodes"][add].update(inputs=ins)))


def test_variables_are_states():
    def stateless(header):
        for t in header["tensors"]:
            t["state"] = False

    assert "a state" in str(refused(stateless))


def test_a_placeholder_is_no_operator_of_a_file():
    found = refused(lambda h: h["nodes"][0].update(op="unsupported", attributes={"kind": "", "reason": ""}))
    assert "no operator is called 'unsupported'" in str(found)


@pytest.mark.parametrize("alpha", [math.inf, -math.inf, math.nan])
def test_attributes_are_finite(alpha):
    x = Tensor("x", (1, 4), "float32")
    tensors = {"x": x, "y": replace(x, name="y")}
    graph = Graph("g", (Node("y", LeakyRelu(alpha), ("x",), ("y",)),), tensors, ("x",), ("y",))
    with pytest.raises(GraphError, match="a finite number"):
        verify(graph, "float")


def test_a_batch_norm_in_a_quantized_model_is_refused():
    b = tiny_models.Build("m", Tensor("x", (1, 4), "float32"))
    for name in ("gamma", "beta", "mean", "variance"):
        b.tensors[name] = constant(name, np.ones(4, np.float32))
    y = b.add(BatchNorm(), "x", "gamma", "beta", "mean", "variance", quant=None)
    graph = b.graph(b.add(Quantize(), y, dtype="int8"))
    with pytest.raises(UnsupportedError, match="no operator of a quantized model"):
        pipeline.compile_graph(graph, "host")


# ---- TOML -----------------------------------------------------------------------------------------------------------

TOML = ["a = " + "[" * 5000, "a = " + "{a=" * 3000, "x = " + "9" * 9000, "x = 0x" + "f" * 9000, "x = 1979-99-99",
        "x = 18446744073709551616"]  # fmt: skip


@pytest.mark.parametrize("text", TOML, ids=lambda t: t[:12])
def test_toml_that_asks_too_much(tmp_path, text):
    for name, error, load in (
        ("board.toml", BoardError, lambda p: boards.load(p.parent)),
        ("target.toml", BoardError, lambda p: targets.read_toml(p, targets.Target, "t")),
        ("recipe.toml", RecipeError, recipe.load),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(error, match=name.split(".")[0]):
            load(tmp_path / name)
    with pytest.raises(RecipeError, match="r: "):
        recipe.parse(text, "r")


def test_a_toml_file_has_a_largest_size(tmp_path):
    (tmp_path / "board.toml").write_text("#" * (targets.MAX_TOML + 1))
    with pytest.raises(BoardError, match="bytes"):
        boards.load(tmp_path)


# ---- programs -------------------------------------------------------------------------------------------------------


def script(folder, name: str, text: str):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_program_that_prints_for_ever_fills_neither_disk_nor_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = tools.call([script(tmp_path, "noise", "yes; echo never")], timeout=1.0)
    assert outcome.code is None and 0 < len(outcome.output) <= 64 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 * 1024


def test_the_end_of_the_output_is_kept(tmp_path):
    outcome = tools.call([script(tmp_path, "long", "seq 1 100000; echo last >&2; exit 3")], timeout=20)
    assert outcome.code == 3 and outcome.output.endswith("100000\nlast\n") and len(outcome.output) == 64 * 1024


def test_a_child_that_stays_behind_does_not_keep_us(tmp_path):
    start = time.monotonic()
    outcome = tools.call([script(tmp_path, "parent", "sleep 30 & echo here")], timeout=20)
    assert (outcome.code, outcome.output) == (0, "here\n") and time.monotonic() - start < 10


def test_a_file_that_grows_for_ever_is_stopped(tmp_path):
    process = tools.start([script(tmp_path, "grow", "exec yes > big")], cwd=tmp_path, file_bytes=1 << 20)
    try:
        assert process.wait(20) < 0
    finally:
        tools.end(process)
        assert process.stdout is not None
        process.stdout.close()
    assert (tmp_path / "big").stat().st_size <= 1 << 20


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("exec yes > big", "wrote a file of more than 1,048,576 bytes"),
        ("exec yes > itg_replies", r"answers with no record \(79 0a 79 0a"),
        ("printf '\\002GTI%999s' '' > itg_replies; sleep 20", r"answers with a record of version 2"),
        ("head -c 7 /dev/zero > itg_replies", "ended before its last reply"),
        ("echo no memory; exit 3", r"(?s)ended with exit status 3; its last words:\n  no memory"),
        ("yes | head -c 300000; exec sleep 20", r"still running after 3 seconds"),
    ],
)
def test_a_firmware_that_does_something_else(tmp_path, monkeypatch, does, told):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("intaglio.runners.process._SPARE", 1 << 20)
    with prepare.prepared(None, boards.load("host"), tiny_models.two_inputs()) as firmware:
        hostile = replace(firmware, elf=script(tmp_path, "hostile", does))
        xs = [np.zeros((1, *firmware.manifest.inputs[0].shape[1:]), np.int8)] * 2
        with pytest.raises(RunError, match=told):
            runners.run(hostile, xs, timeout=3)


def test_the_version_of_qemu_is_asked_within_the_time(tmp_path, monkeypatch):
    script(tmp_path, "qemu-system-arm", "exec sleep 30")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    start = time.monotonic()
    with pytest.raises(ToolError, match="before the time is up"):
        tools.major_version("qemu-system-arm", 0.5)
    assert time.monotonic() - start < 10
