"""Who may import whom: rooms in order, each of which knows only rooms above it; and no circle of files."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import intaglio

ROOT = Path(intaglio.__file__).parent
EVERYONE = {"errors", "graph"}
"""Rooms that every room below them may import."""
ROOMS: dict[str, set[str]] = {
    # What everything stands on.
    "escape": set(),
    "assets": set(),
    "stack": set(),
    "errors": {"escape"},
    "extras": set(),
    "files": set(),
    "tools": set(),
    "sources": {"assets"},
    "graph": set(),
    "manifest": set(),
    "dead_code": set(),
    "executable": set(),
    "interpret": set(),
    "arrays": {"files", "manifest"},
    # The model: graph -> ops -> codecs; floats -> quantize -> train.
    "ops": {"sources"},
    "oracle": {"extras"},
    "codecs": set(),
    "floats": {"dead_code", "extras", "ops"},
    "quantize": {"arrays", "dead_code", "executable", "floats", "interpret", "manifest", "ops"},
    "train": {"files", "floats", "ops", "quantize"},
    "compress": {"dead_code", "executable", "floats", "ops", "quantize", "train"},
    "frontends": {"escape", "extras", "ops", "quantize"},
    # C: lower -> select -> plan -> emit. (What a choice of encodings costs in RAM is asked of the planner.)
    "targets": {"assets"},
    "lower": {"ops"},
    "kernels": {"assets", "codecs", "ops", "sources", "targets"},
    "plan": {"ops"},
    "select": {"kernels", "ops", "plan", "targets"},
    "emit": {"assets", "escape", "extras", "lower", "manifest", "ops"},
    # Boards: what builds, runs and measures.
    # Boards know runners by looking in their folder, so that a runner may know what firmware is.
    "regions": {"targets"},
    "boards": {"assets", "regions", "targets"},
    "firmware": {"boards", "files", "manifest", "regions", "stack", "targets", "tools"},
    "build": {"assets", "boards", "firmware", "manifest", "stack", "tools"},
    "runners": {"assets", "boards", "build", "files", "firmware", "manifest", "tools"},
    "accuracy": {"manifest"},
    "columns": set(),
    "profile": {"build", "columns", "runners"},
    # Whole models, and what is told of them.
    "graph_file": {"files", "frontends", "kernels", "ops", "targets"},
    "pipeline": {
        "boards", "dead_code", "emit", "executable", "floats", "frontends", "graph_file", "lower", "plan", "select",
        "targets",
    },
    "stored_weights": {"columns", "kernels", "pipeline", "select", "targets"},
    "summary": {"dead_code", "floats"},
    "progress": set(),
    "compiled_folder": {
        "boards", "build", "compress", "emit", "files", "frontends", "manifest", "pipeline", "progress",
    },
    "models": {"arrays", "compiled_folder", "manifest", "pipeline", "progress", "quantize"},
    "prepare": {"boards", "build", "compiled_folder", "escape", "files", "manifest", "progress"},
    "judge": {
        "accuracy", "arrays", "boards", "build", "compiled_folder", "files", "floats", "manifest", "models",
        "prepare", "progress", "runners", "tools",
    },
    "budget": {"boards", "files", "judge", "progress", "quantize"},
    "diverge": {"boards", "build", "compiled_folder", "interpret", "runners"},
    "doctor": {"boards", "extras", "progress", "runners", "tools"},
    "recipes": {
        "accuracy", "arrays", "boards", "columns", "compiled_folder", "compress", "emit", "escape", "extras", "files",
        "floats", "graph_file", "interpret", "judge", "kernels", "manifest", "models", "pipeline", "quantize",
        "select", "stored_weights", "targets", "train",
    },
    # What people call.
    "__init__": {
        "accuracy", "arrays", "boards", "compiled_folder", "compress", "emit", "extras", "files", "frontends",
        "interpret", "judge", "lower", "models", "ops", "pipeline", "prepare", "profile", "quantize", "runners",
        "summary",
    },
    "cli": {
        "__init__", "accuracy", "arrays", "assets", "boards", "budget", "columns", "compiled_folder", "diverge",
        "doctor", "emit", "escape", "files", "floats", "interpret", "judge", "lower", "manifest", "models", "ops",
        "prepare", "profile", "progress", "quantize", "recipes", "runners", "stored_weights", "summary", "targets",
    },
    "__main__": {"cli"},
}  # fmt: skip
"""Each room (a folder of the package, or a file beside them) -> what it may import besides EVERYONE and itself."""
UPWARDS = {
    ("graph", "ops"): "a Node says that its `op` is an Op; for type checkers alone",
    ("compress", "recipes"): "`intaglio.compress(...)` runs a recipe: imported when it is called",
}
"""Imports of a room further down, each with its reason."""


def modules(root: Path = ROOT) -> dict[str, Path]:
    """Every module by its name in the package: `ops.base`, `ops` for ops/__init__.py, `__init__` for the package's."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


def imports(path: Path, known: dict[str, Path], root: Path = ROOT) -> Iterator[tuple[str, bool]]:
    """(module, whether the import runs) of each import of the package's own, inside functions too. An import under
    TYPE_CHECKING does not run: it serves annotations."""
    folder = path.relative_to(root).parent.parts

    def visit(node: ast.AST, runs: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
                yield from visit(child, False)
            elif isinstance(child, ast.ImportFrom) and (child.level or (child.module or "").startswith("intaglio")):
                above = folder[: len(folder) - child.level + 1] if child.level else ()
                module = child.module.split(".")[0 if child.level else 1 :] if child.module else []
                for alias in child.names:
                    whole = ".".join((*above, *module, alias.name))
                    yield (whole if whole in known else ".".join((*above, *module)) or "__init__"), runs
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    if alias.name.split(".")[0] == "intaglio":
                        yield ".".join(alias.name.split(".")[1:]) or "__init__", runs
            else:
                yield from visit(child, runs)

    return visit(ast.parse(path.read_text()), True)


def room(module: str) -> str:
    return module.split(".")[0]


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Sets of modules that reach each other, by Tarjan's algorithm."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in sorted(arrows.get(module, ())):
            if other not in number:
                visit(other)
            if other in stack:
                low[module] = min(low[module], low[other])
        if low[module] == number[module]:
            members = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(members) > 1 or module in arrows.get(module, ()):
                found.append(sorted(members))

    for module in sorted(arrows):
        if module not in number:
            visit(module)
    return found


def test_the_rooms_are_those_of_the_package_in_an_order():
    known = modules()
    assert set(ROOMS) == {room(m) for m in known}, "each folder and each file beside them is a room of the table"
    seen: set[str] = set()
    for name, allowed in ROOMS.items():
        assert allowed <= seen, f"{name} may import {allowed - seen}, which come after it"
        seen.add(name)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_what_it_may(name):
    known, order = modules(), list(ROOMS)
    everyone = EVERYONE & set(order[: order.index(name)])
    allowed = ROOMS[name] | everyone | {name} | {b for a, b in UPWARDS if a == name}
    used = {(m, other) for m, path in known.items() if room(m) == name for other, _ in imports(path, known)}
    wrong = sorted(f"{known[m]} imports {other}" for m, other in used if room(other) not in allowed)
    assert not wrong, f"{name} may import {', '.join(sorted(allowed))}:\n" + "\n".join(wrong)
    idle = (ROOMS[name] | {b for a, b in UPWARDS if a == name}) - {room(other) for _, other in used}
    assert not idle, f"{name} no longer imports {', '.join(sorted(idle))}: take it out of the table"


def test_no_files_need_each_other():
    known = modules()
    arrows = {m: {other for other, runs in imports(path, known) if runs and other != m} for m, path in known.items()}
    assert not circles(arrows)


def test_what_only_annotations_need_is_never_used():
    """A name imported under TYPE_CHECKING would be missing where code runs: annotations are text everywhere."""
    for module, path in modules().items():
        text = path.read_text()
        if "if TYPE_CHECKING:" in text:
            assert "from __future__ import annotations" in text, module


def test_circles_are_found():
    arrows = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"f"}}
    assert circles(arrows) == [["a", "b", "c"], ["f"]]


def test_imports_are_seen_wherever_they_stand(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "top.py").write_text("")
    (tmp_path / "sub" / "other.py").write_text("")
    (tmp_path / "sub" / "x.py").write_text(
        "from .. import top\nfrom . import other\nif TYPE_CHECKING:\n    from ..top import T\n"
        "def f():\n    from intaglio.sub.other import g\n    import intaglio.top\n    from numpy import array\n"
    )
    known = modules(tmp_path)
    found = list(imports(tmp_path / "sub" / "x.py", known, tmp_path))
    assert found == [("top", True), ("sub.other", True), ("top", False), ("sub.other", True), ("top", True)]
