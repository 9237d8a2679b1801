"""The stack by call graph, beside the stack that was painted."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from intaglio import stack

NODE = 'node: {{ title: "{0}" label: "{0}\\nx.c:1:1\\n{1} bytes ({2})" }}\n'
EDGE = 'edge: {{ sourcename: "{}" targetname: "{}" label: "x.c:2:2" }}\n'
LIBRARY = 'node: { title: "memcpy" label: "memcpy\\n<built-in>" shape : ellipse }\n'


def graph(frames: dict[str, int], calls: str, kind: str = "static") -> list[str]:
    nodes = [NODE.format(name, size, kind) for name, size in frames.items()]
    return [*nodes, LIBRARY + "".join(EDGE.format(*pair.split(">")) for pair in calls.split())]


def test_the_deepest_chain_counts():
    frames = {"run": 16, "a": 32, "b": 8, "c": 100, "d": 64}
    assert stack.deepest(graph(frames, "run>a run>b a>d b>c a>memcpy run>memcpy"), "run") == 16 + 8 + 100
    assert stack.deepest(graph(frames, "run>a run>b a>d b>c"), "a") == 96
    assert stack.deepest(graph({"run": 16}, "run>memcpy"), "run") == 16
    deep = {f"f{i}": 8 for i in range(5000)} | {"run": 8}
    chain = "run>f0 " + " ".join(f"f{i}>f{i + 1}" for i in range(4999))
    assert stack.deepest(graph(deep, chain), "run") == 8 * 5001


@pytest.mark.parametrize(
    ("frames", "calls", "kind"),
    [
        ({"other": 8}, "", "static"),
        ({"run": 8, "a": 8}, "run>a a>run", "static"),
        ({"run": 8}, "run>run", "static"),
        ({"run": 8}, "run>__indirect_call", "static"),
        ({"run": 8, "a": 8}, "run>a", "dynamic"),
    ],
)
def test_no_bound_is_known(frames, calls, kind):
    assert stack.deepest(graph(frames, calls, kind), "run") is None


def test_a_weak_function_is_found_by_its_name():
    frames = {"run": 16, "kernels/a.c:kernel": 32, "kernels/b.c:help": 64, "kernels/b.c:other": 8}
    calls = "run>kernel kernels/a.c:kernel>other kernels/b.c:other>kernels/b.c:help"
    assert stack.deepest(graph(frames, calls), "run") == 16 + 32 + 8 + 64


SOURCE = """
extern int use(int *p);
__attribute__((noinline)) LINKAGE int wide(int n) { int room[200]; return n ? use(room) : 1; }
int run(int n);
int run(int n) { return wide(n) + 1; }
"""


@pytest.mark.parametrize("compiler", ["gcc", "arm-none-eabi-gcc", "aarch64-linux-gnu-gcc"])
@pytest.mark.parametrize("linkage", ["static", "__attribute__((weak))"])
def test_a_frame_that_is_never_written_counts(tmp_path, compiler, linkage):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    (tmp_path / "a.c").write_text(SOURCE)
    command = [compiler, "-std=c99", "-O2", f"-DLINKAGE={linkage}", stack.FLAG, "-c", "a.c", "-o", "b.o"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found = stack.deepest([(tmp_path / f"b{stack.SUFFIX}").read_text()], "run")
    assert found is not None and 800 < found < 900
