"""Text from files stays text: in C, HTML, Markdown, file names and terminals."""

from __future__ import annotations

import html.parser
import re
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
import tiny_models
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio import boards, build, escape, graph_file, interpret, prepare, runners
from intaglio.cli import app, common
from intaglio.errors import ModelError
from intaglio.graph import Graph
from intaglio.recipes.measure import Measured
from intaglio.recipes.report import _markdown, _page

STRICT = ("-std=c99", "-trigraphs", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wcomment", "-fsyntax-only")
INJECTION = "/*\\\n*\\/ __attribute__((constructor)) void p(void) { } /*\\\\*\\/ //\\\n??/ */ int x; /*"


def cli(*arguments: str) -> None:
    with pytest.raises(SystemExit):
        app(arguments)


def every_triple() -> str:
    """A sequence of all ASCII characters in which each three stand side by side exactly once (de Bruijn)."""
    k, n = 128, 3
    word, found = [0] * (k * n), []

    def visit(t: int, p: int) -> None:
        if t > n:
            found.extend(word[1 : p + 1] if n % p == 0 else ())
            return
        word[t] = word[t - p]
        visit(t + 1, p)
        for letter in range(word[t - p] + 1, k):
            word[t] = letter
            visit(t + 1, t)

    visit(1, 1)
    return "".join(map(chr, [*found, *found[: n - 1]]))


@pytest.mark.parametrize("compiler", ["gcc", "g++", "clang", "clang++"])
def test_every_pair_and_triple_of_ascii_in_a_comment(tmp_path, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    text = every_triple()
    assert len(text) == 128**3 + 2 and len({text[i : i + 3] for i in range(128**3)}) == 128**3
    names = [text[i : i + 102] for i in range(0, len(text) - 2, 100)]
    # One declaration a comment: a comment that swallows or leaks anything changes what is declared.
    lines = [f"/* {escape.for_c(name)} */ extern int v{i};" for i, name in enumerate(names)]
    assert all(line.isascii() and "\n" not in line for line in lines)
    uses = "\n".join(f"extern int *p{i}; int *p{i} = &v{i};" for i in range(len(names)))
    suffix = ".cpp" if "+" in compiler else ".c"
    (tmp_path / f"a{suffix}").write_text("\n".join(lines) + "\n" + uses + "\n")
    flags = [f for f in STRICT if f != "-std=c99" or suffix == ".c"]
    done = subprocess.run([compiler, *flags, f"a{suffix}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_any_text(text):
    c = escape.for_c(text)
    assert c.isascii() and c.isprintable() and not set(c) & set("*\\?\"'$#`")
    assert set(escape.for_file_name(text)) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
    assert escape.for_terminal(text).isprintable() and len(escape.for_terminal(text)) == len(text)
    assert escape.for_terminal(text, lines=True).count("\n") == text.count("\n")
    assert not set(escape.for_html(text)) & set("<>\"'")
    assert not set(escape.for_markdown(text)) & set("<>|`*[]\\\n!")


def renamed(graph: Graph, name: str) -> Graph:
    """The graph with `name` in the name of every node and tensor."""
    names = {old: f"{old}{name}{i}" for i, old in enumerate(graph.tensors)}
    nodes = [
        replace(
            n, name=f"{n.name}{name}",
            inputs=tuple(names.get(i, i) for i in n.inputs), outputs=tuple(names[o] for o in n.outputs),
        )
        for n in graph.nodes
    ]  # fmt: skip
    tensors = {names[old]: replace(t, name=names[old]) for old, t in graph.tensors.items()}
    ends = [tuple(names[n] for n in side) for side in (graph.inputs, graph.outputs)]
    return replace(graph, nodes=tuple(nodes), tensors=tensors, inputs=ends[0], outputs=ends[1])


NAMES = [INJECTION, "\\", "a*\\", "*/", "??/", "//\\", "x\n#error no\n", "\x1b[2J", "\u202e*/"]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_a_model_stay_in_their_comments(name):
    plain = tiny_models.image()
    board = boards.load("host")
    tensor = plain.tensors[plain.inputs[0]]
    x = np.random.default_rng(0).integers(-128, 128, (3, *tensor.shape)).astype(np.int8)
    with prepare.prepared(None, board, renamed(plain, name)) as firmware:
        out = runners.run(firmware, [x]).outputs[0]
        defined = build.symbols(firmware.elf)
    assert "p" not in defined and "x" not in defined
    assert np.array_equal(out, interpret.run(plain, [x])[0])


@pytest.mark.parametrize("name", NAMES)
def test_names_of_a_model_do_nothing_to_a_terminal(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("FORCE_COLOR", "1")
    path = tmp_path / "m.itg"
    graph_file.save(path, renamed(tiny_models.image(), name))
    for arguments in (["inspect", str(path)], ["inspect", str(tmp_path / f"none{name[:3]}.tflite")]):
        cli(*arguments)
        shown = capsys.readouterr()
        said = re.sub(r"\x1b\[[0-9;]*m", "", shown.out + shown.err)
        assert all(c.isprintable() or c == "\n" for c in said), said


def test_a_line_end_in_a_file_name_makes_no_second_error(capsys):
    cli("inspect", "no\nerror: forged.tflite")
    assert not [line for line in capsys.readouterr().err.splitlines()[1:] if line.startswith("error:")]
    assert "\n" not in str(ModelError("a\nb", "is bad"))


def test_nor_does_a_table_of_thousands_of_rows(capsys):
    made = common.table("t\x1b[2J", ("layer", "left"))
    for _ in range(common.MANY_ROWS + 1):
        made.add_row("a\x1b[2J\nb")
    common.print_table(common.console(), made)
    said = capsys.readouterr().out
    assert "\x1b" not in said and said.count("a?[2J?b") == common.MANY_ROWS + 1


class Strict(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, tuple(k for k, _ in attrs)))


HTML = ["<script>x</script>", '" onload="x', "</title><img src=x>", "<!--", "&lt;script&gt;", "]]>"]


@pytest.mark.parametrize("name", HTML)
def test_a_report_has_the_same_elements_whatever_the_names(name):
    found = Measured(accuracy=0.5, loss=1.0, weight_bytes=1, macs=1, weights=1, zeros=0.0, flash_bytes=1, unbuilt="")

    def tags(text: str) -> list[tuple[str, tuple[str, ...]]]:
        parser = Strict()
        parser.feed(_page(text, text, [(text, found)], [text], [], "key"))
        return parser.tags

    assert tags(name) == tags("plain")
    assert "<script" not in _markdown(name, name, [("prune", found)], [name], [], "")
