"""The pages of docs/ are true: their commands run and print what they show, their files and names exist."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib

import pages
import pytest

from intaglio import errors
from intaglio.manifest import Manifest
from intaglio.ops import all_ops, by_tflite
from intaglio.recipes import recipe
from intaglio.recipes.steps import kinds

PAGES = pages.PAGES
TEXT = {name: path.read_text() for name, path in PAGES.items()}
EVERYTHING = {**TEXT, "README": pages.README.read_text(), "DESIGN": (pages.ROOT / "DESIGN.md").read_text()}
WITH_COMMANDS = [name for name, path in PAGES.items() if any(block.commands for block in pages.blocks(path))]


@pytest.fixture(scope="module")
def readme(tmp_path_factory):
    for needed in ("onnx", "sklearn", "torch"):
        pytest.importorskip(needed)
    root = tmp_path_factory.getbasetemp()
    return pages.after_readme((root.parent if root.name.startswith("popen") else root) / "readme")


@pytest.fixture
def done(readme, tmp_path):
    """Does a page in a fresh folder that holds what the README left."""

    def do(name):
        shutil.copytree(readme.folder / "digits", tmp_path / "digits")
        return pages.do(PAGES[name], tmp_path)

    return do


SPECIAL = {"quantize", "compress"}
"""Pages that have a test of their own below."""


@pytest.mark.parametrize("name", [name for name in WITH_COMMANDS if name not in SPECIAL])
def test_its_commands_run_and_print_what_it_shows(name, done):
    done(name)


def test_quantize(done):
    page = done("quantize")
    digits = page.folder / "digits"
    # What a pattern selects differs from what it does not.
    whole, mixed, packed = (Manifest.read(digits / name) for name in ("c", "mixed", "packed"))
    assert [layer.op for layer in mixed.layers].count("dequantize") > [x.op for x in whole.layers].count("dequantize")
    assert packed.weight_bytes < 0.85 * whole.weight_bytes
    # Another format of the same network, the same integers.
    assert Manifest.read(digits / "from-onnx").weight_bytes == whole.weight_bytes
    assert Manifest.read(digits / "from-pt2").weight_bytes == whole.weight_bytes


def test_compress(done):
    page = done("compress")
    found, printed = (
        [re.findall(r"[\d.,]+(?=[ %\n]|$)", line) for line in text.splitlines() if re.match(r"\d  \w", line)]
        for text in (page.of("deep-compression"), TEXT["compress"])
    )
    assert len(found) == len(printed) == 5
    for ours, theirs in zip(found, printed, strict=True):
        # Of another processor: accuracy, flash, weights in flash.
        assert abs(float(ours[1]) - float(theirs[1])) <= 2.5
        for mine, other in zip(ours[2:4], theirs[2:4], strict=True):
            assert float(mine.replace(",", "")) == pytest.approx(float(other.replace(",", "")), rel=0.05)


def test_deep_compression_reached_what_was_asked_and_what_the_page_says():
    results = json.loads((pages.ROOT / "benchmarks" / "results" / "deep_compression.json").read_text())
    said = []
    for found in results.values():
        smaller, error = found["float32_bytes"] / found["bytes"], 100 * (1 - found["right"] / found["test_images"])
        assert smaller >= found["smaller_asked"] and error <= found["error_asked"]
        assert set(found["differing"]) >= {"host", "M0+", "M4"} and not any(found["differing"].values())
        said.append((f"{smaller:.0f}", f"{error:.2f}"))
    shown = TEXT["compress"][TEXT["compress"].index("- LeNet-300-100") :].replace("\n", " ")
    assert re.findall(r"(\d+) times smaller at (\d\.\d\d) %", shown) == said


def test_recipes_and_their_steps_are_those_there_are():
    text = TEXT["compress"]
    assert sorted(re.findall(r"^\| `([\w-]+)` \|", text[text.index("| `do` |") + 8 :], re.M)) == sorted(kinds())
    named = re.search(r"^A recipe is a list of steps\. The package has (.*?)\.$", text, re.M)
    assert named and sorted(re.findall("`(.*?)`", named[1])) == recipe.names()
    (mine,) = [block for block in pages.blocks(PAGES["compress"]) if block.title == "mine.toml"]
    assert [step.do for step in recipe.parse(mine.text).steps] == ["prune", "quantize", "encode"]


def test_operators_are_named():
    assert all_ops() and all(re.search(rf"\b{name}\b", TEXT["operators"]) for name in by_tflite())


def test_errors_are_named():
    classes = {
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.IntaglioError)
    }
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT["errors"], re.M)) == classes - {"IntaglioError"}


def test_blocks_without_a_name_are_what_they_say():
    for name in (*PAGES, "README"):
        for block in pages.blocks(PAGES.get(name, pages.README)):
            assert block.language in ("sh", "text", "c", "python", "toml", "json"), f"{name}: {block}"
            if block.language == "python":
                ast.parse(block.text)
            elif block.language == "toml":
                tomllib.loads(block.text)
            elif block.language == "json":
                json.loads(block.text)


FOLDERS = ("", "toolchain/intaglio/", "toolchain/", "tests/")
MADE_UP = re.compile(r"NAME|STEM|FOLDER|CORE|OPERATOR|MODEL|^digits|^report\.|(^|/|_)x[._]|^board\.c$")
"""Parts of names that stand for others, and what commands make."""


@pytest.mark.parametrize("name", EVERYTHING)
def test_files_that_it_names_exist(name):
    """`ops/base.py` is a file of the repository or of the package; `base.py` one of some folder."""
    known = {path.name for path in pages.ROOT.glob("**/*.*") if ".venv" not in path.parts}
    own = {block.title.rpartition("/")[2] for block in pages.blocks(PAGES.get(name, pages.README))}
    for file in re.findall(r"`([\w./-]+\.(?:py|c|h|toml|json|md))`", EVERYTHING[name]):
        if MADE_UP.search(file) or file in own:
            continue
        there = file in known if "/" not in file else any((pages.ROOT / f / file).exists() for f in FOLDERS)
        assert there, f"{name} names {file}"


@pytest.mark.parametrize("name", EVERYTHING)
def test_links_lead_somewhere(name):
    here = PAGES.get(name, pages.README).parent
    for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", EVERYTHING[name]):
        assert not target or target.startswith("http") or (here / target).exists(), f"{name} links to {target}"


@pytest.mark.skipif(importlib.util.find_spec("material") is None, reason="mkdocs-material is not installed")
def test_the_site_builds_and_asks_nothing_of_the_network(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    found = subprocess.run(command, cwd=pages.ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert {path.stem for path in tmp_path.glob("*.html")} >= set(PAGES)
    for page in tmp_path.glob("*.html"):
        loaded = re.findall(r'<(?:script|link|img)[^>]* (?:src|href)="(https?:[^"]*)"', page.read_text())
        assert not [url for url in loaded if "canonical" not in url], f"{page.name} loads {loaded}"
