"""Generated C and kernels: clean under the strictest warnings everywhere, repeatable, and safe with hostile names."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from emitted import write
from random_graphs import random_graph

from intaglio import assets, build, pipeline, targets
from intaglio.emit.kernels import written
from intaglio.errors import ToolError
from intaglio.graph import Graph, Node, Quant, Tensor
from intaglio.ops.max_pool2d import MaxPool2D

CPP = ["-x", "c++", "-std=c++11", *build.WARNINGS]
OFTEN = ("host", "cortex-m0plus", "cortex-m4", "cortex-m55", "cortex-a53")
"""Targets of each instruction set; the others differ by what the compiler schedules for, and are left to the soak."""
KERNELS = assets.root() / "runtime_c" / "kernels" / "c"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder with a stateful random model and every portable kernel."""
    folder = tmp_path_factory.mktemp("model")
    graph = replace(random_graph(np.random.default_rng(3), states=1), name="random")
    write(pipeline.compile_graph(graph, "host"), folder)
    every = written({path.name: path.read_text() for path in KERNELS.iterdir()})
    write({f"kernels/{name}": text.encode() for name, text in every.items()}, folder)
    return folder


def tiny() -> Graph:
    """One pooling layer, named `model`."""
    q = Quant((0.5,), (0,))
    tensors = {"x": Tensor("x", (1, 4, 4, 2), "int8", q), "y": Tensor("y", (1, 2, 2, 2), "int8", q)}
    return Graph("model", (Node("y", MaxPool2D((2, 2), (2, 2)), ("x",), ("y",)),), tensors, ("x",), ("y",))


def sources(folder):
    return [folder / "random.c", *sorted((folder / "kernels").glob("*.c"))]


def compile_all(command, folder, tmp_path):
    """One run of the compiler over all files; the command's own -c SOURCE -o OBJECT is dropped."""
    at = command.index("-c")
    done = subprocess.run(
        [*command[:at], "-c", *sources(folder)], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[:3000]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize(
    "target", [pytest.param(t, marks=() if t in OFTEN else pytest.mark.soak) for t in targets.names()]
)
def test_strict_warnings(model, tmp_path, target, compiler):
    try:
        flags = [*build.WARNINGS, f"-I{model}"]
        command = build.compile_command(targets.load(target), sources(model)[0], tmp_path / "o", flags, compiler)
    except ToolError as e:
        pytest.skip(str(e))
    compile_all(command, model, tmp_path)


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_is_also_cpp(model, tmp_path, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    compile_all([compiler, *CPP, f"-I{model}", "-c"], model, tmp_path)


def test_same_input_same_bytes():
    graphs = [random_graph(np.random.default_rng(5)) for _ in range(2)]
    assert pipeline.compile_graph(graphs[0], "host") == pipeline.compile_graph(graphs[1], "host")


def test_kernels_use_no_heap_no_globals_no_function_pointers():
    for path in KERNELS.glob("*.[ch]"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        assert not re.search(r"\b(malloc|calloc|realloc|free|alloca)\b", text), path.name
        assert not re.search(r"\(\s*\*\s*\w+\s*\)\s*\(", text), f"{path.name}: a function pointer"
        assert not re.search(r"^static (?!const|inline)[\w ]+\**\w+(\[.*?\])? *[=;]", text, re.M), f"{path.name}: state"


def test_names_from_a_file_cannot_leave_their_comment():
    graph = random_graph(np.random.default_rng(6))
    evil = "*/ system(0); /* ??/ \\\n\u202e" + "x" * 500
    first = graph.nodes[0]
    renamed = replace(first, name=evil)
    hostile = Graph("case", (renamed, *graph.nodes[1:]), graph.tensors, graph.inputs, graph.outputs)
    text = pipeline.compile_graph(hostile, "host")["case.c"].decode()
    assert text.isascii()
    assert "system(0)" not in re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    assert "??/" not in text and "\\\n" not in text


@pytest.mark.parametrize("name", ["max_pool2d", "itg", "pool"])
def test_a_model_named_like_a_kernel(tmp_path, name):
    write(pipeline.compile_graph(replace(tiny(), name=name), "host"), tmp_path)
    done = subprocess.run("cc -c -I. *.c kernels/*.c", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("*.o"))) == 2


def test_an_older_header_is_refused(model, tmp_path):
    shutil.copytree(model, tmp_path / "m")
    header = tmp_path / "m" / "itg.h"
    header.write_text(re.sub(r"#define ITG_ABI \d+", "#define ITG_ABI 999", header.read_text()))
    done = subprocess.run(
        ["gcc", "-I.", "-c", "random.c", "-o", "o.o"], cwd=tmp_path / "m", capture_output=True, text=True
    )
    assert done.returncode != 0 and "different releases of intaglio" in done.stderr
