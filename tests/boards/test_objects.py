"""Objects that were compiled before: used again where everything that goes into them is the same, and only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from intaglio import boards, build
from intaglio.errors import BuildError
from intaglio.firmware import compiler, objects
from intaglio.manifest import Manifest

from .fixture import copy, need

BOARDS = ["host", "qemu-mps2-an386"]


@pytest.fixture
def compiled(monkeypatch):
    """The names of the sources that GCC compiled."""
    found = []
    call = compiler.tools.call

    def counted(command, **more):
        if "-c" in command:
            found.append(Path(command[command.index("-c") + 1]).name)
        return call(command, **more)

    monkeypatch.setattr(compiler.tools, "call", counted)
    return found


def made(folder, board="host", cflags=()):
    need(boards.load(board))
    firmware = build.compile_firmware(folder, Manifest.read(folder), boards.load(board), cflags=cflags)
    return firmware.elf.read_bytes(), firmware.sizes


@pytest.mark.parametrize("board", BOARDS)
def test_the_same_bytes_without_with_and_after(tmp_path, no_objects, compiled, monkeypatch, board):
    """Wherever the folder is, and from wherever the compiler is started."""
    monkeypatch.setenv(objects.ELSEWHERE, "")
    without = made(copy(tmp_path / "a"), board)
    assert not no_objects.exists() and "app.c" in compiled
    monkeypatch.setenv(objects.ELSEWHERE, str(no_objects))
    compiled.clear()
    assert made(copy(tmp_path / "b"), board) == without and "app.c" in compiled
    compiled.clear()
    (tmp_path / "c").mkdir()
    monkeypatch.chdir(tmp_path / "c")
    assert made(copy(tmp_path / "c"), board) == without and not compiled


@pytest.mark.parametrize("name", ["tiny.c", "tiny.h"])
def test_another_text_is_compiled(tmp_path, no_objects, compiled, name):
    made(copy(tmp_path / "a"))
    compiled.clear()
    folder = copy(tmp_path / "b")
    text = (folder / name).read_text()
    (folder / name).write_text(text + "/* another */\n")
    made(folder)
    assert "tiny.c" in compiled and "mark.c" not in compiled
    compiled.clear()
    (folder / name).write_text(text)
    made(folder)
    assert not compiled


def test_another_option_is_compiled(tmp_path, no_objects, compiled):
    folder = copy(tmp_path)
    made(folder)
    once = sorted(compiled)
    made(folder, cflags=["-DUSER=1"])
    assert sorted(compiled) == sorted(once * 2)


def test_a_header_that_comes_in_the_way_is_compiled(tmp_path, no_objects, compiled):
    """The source includes another file than before, though all files of then are unchanged."""
    folder = copy(tmp_path)
    (folder / "near").mkdir()
    source = folder / "near" / "part.c"
    source.write_text('#include "value.h"\nint part(void);\nint part(void) { return VALUE; }\n')
    (folder / "value.h").write_text("#define VALUE 1\n")
    target = boards.load("host").load_target()

    def part(out):
        return compiler.compile_all(target, [source], tmp_path / out, [f"-iquote{folder}"], {folder: "."})[0]

    first = part("1").read_bytes()
    assert part("2").read_bytes() == first and compiled == ["part.c"]
    (folder / "near" / "value.h").write_text("#define VALUE 2\n")
    assert part("3").read_bytes() != first and compiled == ["part.c"] * 2


@pytest.mark.parametrize("more", ["__TIME__", '\n#if __has_include("x.h")\n#endif\n1'])
def test_what_depends_on_more_than_text_is_not_kept(tmp_path, no_objects, compiled, more):
    source = tmp_path / "part.c"
    source.write_text(f"int part(void);\nint part(void) {{ return {more} != 0; }}\n")
    for out in ("1", "2"):
        flags = ["-Wno-error", "-Wno-address"]
        compiler.compile_all(boards.load("host").load_target(), [source], tmp_path / out, flags, {tmp_path: "."})
    assert compiled == ["part.c"] * 2


def test_an_error_is_said_each_time(tmp_path, no_objects):
    folder = copy(tmp_path, {"tiny.c": ("tiny_run", "tiny_run(")})
    said = []
    for _ in range(2):
        with pytest.raises(BuildError, match=r"tiny\.c") as refused:
            made(folder)
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_damaged_objects_are_compiled_again(tmp_path, no_objects, compiled):
    folder = copy(tmp_path)
    want = made(folder)
    for path in no_objects.iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    compiled.clear()
    assert made(folder) == want and "tiny.c" in compiled


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(objects.ELSEWHERE, str(tmp_path / "file" / "objects"))
    assert made(copy(tmp_path))


def test_the_oldest_make_room(tmp_path, no_objects, compiled):
    folder = copy(tmp_path)
    made(folder)
    kept = sorted(no_objects.iterdir(), key=lambda p: p.stat().st_size)
    for i, path in enumerate(kept):
        os.utime(path, (i, i))
    place = objects.shelf("gcc", {})
    place.make_room(sum(p.stat().st_size for p in kept[1:]))
    assert sorted(no_objects.iterdir()) == sorted(kept[1:])
    place.make_room(0)
    assert not list(no_objects.iterdir())


def test_headers_that_the_environment_names_are_not_known(tmp_path, no_objects, monkeypatch):
    monkeypatch.setenv("CPATH", str(tmp_path))
    made(copy(tmp_path))
    assert not no_objects.exists()


def test_many_at_once(tmp_path, no_objects):
    """Programs that build the same at the same time; each has the whole object."""
    code = (
        "import sys, hashlib; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from intaglio import boards, build; from intaglio.manifest import Manifest\n"
        "f, elf = map(Path, sys.argv[2:])\n"
        "build.compile_firmware(f, Manifest.read(f), boards.load('host'), elf)\n"
        "print(hashlib.sha256(elf.read_bytes()).hexdigest())\n"
    )
    folder, source = copy(tmp_path), str(Path(build.__file__).parents[1])
    running = [
        subprocess.Popen([sys.executable, "-c", code, source, folder, tmp_path / f"{i}.elf"], stdout=subprocess.PIPE)
        for i in range(4)
    ]
    assert len({process.communicate(timeout=120)[0] for process in running}) == 1
    assert not [p for p in no_objects.iterdir() if p.name.startswith(".")]
