"""The tests themselves: no test file imports another, so that each can be read, changed and removed alone."""

import ast
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def imported(path):
    """Names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def test_no_file_imports_a_test_file():
    files = sorted(TESTS.rglob("*.py"))
    assert len(files) > 100
    wrong = [
        f"{path.relative_to(TESTS)} imports {name}"
        for path in files
        for name in imported(path)
        if any(part.startswith("test_") and list(TESTS.rglob(f"{part}.py")) for part in name.split("."))
    ]
    assert not wrong, f"what several tests need goes into a module without test_ in its name: {wrong}"
