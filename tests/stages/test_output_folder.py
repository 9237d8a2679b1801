"""A folder that `compile` writes over: nothing of the user's in it is ever lost, whatever happens and when."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import tiny_models

from intaglio import boards, build, compiled_folder, files, prepare, tools
from intaglio.boards import Board
from intaglio.errors import OutputError
from intaglio.manifest import FILE, Manifest

HOST = boards.load("host")
GRAPH = tiny_models.image()
OTHER = tiny_models.movement()


def content(folder: Path) -> dict[str, bytes | str]:
    """Everything in a folder: bytes of files, targets of links, nothing for folders."""
    return {
        p.relative_to(folder).as_posix(): os.readlink(p) if p.is_symlink() else b"" if p.is_dir() else p.read_bytes()
        for p in folder.rglob("*")
    }


def write(graph: object, out: Path, board: Board = HOST) -> None:
    compiled_folder.compiled(graph, board, out, with_firmware=False)  # type: ignore[arg-type]


def edit(path: Path, text: str = "/* mine */") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


CHANGES = {
    "a header among the kernels": (lambda out: edit(out / "kernels/my_config.h"), "kernels/my_config.h (added)"),
    "a folder of headers": (lambda out: edit(out / "kernels/mine/a.h"), "kernels/mine/ (added)"),
    "an empty repository": (lambda out: (out / ".git").mkdir(), ".git/ (added)"),
    "a source": (lambda out: edit(out / "main.c"), "main.c (added)"),
    "an edited kernel": (lambda out: edit(out / "kernels/conv2d.c"), "kernels/conv2d.c (changed)"),
    "an edited model": (lambda out: edit(out / "image.c"), "image.c (changed)"),
    "an edited manifest": (
        lambda out: edit(out / FILE, (out / FILE).read_text().replace('"host"', '"mine"')), f"{FILE} (changed)",
    ),
    "a link in place of a file": (
        lambda out: ((out / "image.h").rename(out.parent / "a.h"), (out / "image.h").symlink_to("../a.h")),
        "image.h (changed)",
    ),
    "a link beside": (lambda out: (out / "link").symlink_to("/nowhere"), "link (added)"),
    "a folder in place of a file": (lambda out: ((out / "image.h").unlink(), (out / "image.h").mkdir()), "image.h/"),
    "a firmware.elf of one's own": (lambda out: edit(out / build.FIRMWARE), "firmware.elf (added)"),
    "objects": (lambda out: [edit(out / f"{i}.o") for i in range(9)], "4.o (added) and 4 more"),
    "no manifest": (lambda out: (out / FILE).unlink(), "kernels, "),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_user_did_is_named_and_kept(tmp_path, change):
    out = tmp_path / "out"
    write(GRAPH, out)
    do, said = CHANGES[change]
    do(out)
    before = content(tmp_path)
    with pytest.raises(OutputError) as found:
        write(OTHER, out)
    assert said in str(found.value) and content(tmp_path) == before


def test_what_intaglio_wrote_is_replaced(tmp_path):
    out = tmp_path / "out"
    write(GRAPH, out)
    first = content(out)
    write(OTHER, out)
    assert "movement.c" in content(out) and "image.c" not in content(out)
    write(GRAPH, out)
    assert content(out) == first and os.listdir(tmp_path) == ["out"]
    (out / "image.h").unlink()  # what is missing is no loss
    write(GRAPH, out)
    assert content(out) == first


@pytest.mark.parametrize("at_once", [True, False])
def test_a_file_that_comes_while_it_is_written(tmp_path, monkeypatch, at_once):
    out = tmp_path / "out"
    write(GRAPH, out)
    swap = files.exchange

    def late(a: Path, b: Path) -> bool:
        edit(out / "late.c")
        return at_once and swap(a, b)

    monkeypatch.setattr(files, "exchange", late)
    with pytest.raises(OutputError, match=r"late\.c"):
        write(OTHER, out)
    assert (out / "late.c").exists() and (out / "image.c").exists() and os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("at_once", [True, False])
def test_killed_at_every_step(tmp_path, monkeypatch, at_once):
    """Before and after each change to the file system: a whole folder is there, the old one or the new."""
    if at_once:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        if not files.exchange(tmp_path / "a", tmp_path / "b"):
            pytest.skip("this file system cannot exchange folders in one step")
    write(GRAPH, tmp_path / "old")
    write(OTHER, tmp_path / "new")
    old, new = content(tmp_path / "old"), content(tmp_path / "new")
    seen = set()
    for moment in range(200):
        place = tmp_path / f"{moment}"
        shutil.copytree(tmp_path / "old", place / "out")
        ended = killed(moment, place / "out", at_once)
        out = content(place / "out") if (place / "out").exists() else None
        aside = [content(p) for p in place.glob(".out.*")]
        if at_once:
            assert out in (old, new), moment
        else:
            assert out in (old, new) or (out is None and old in aside), moment
        seen.add("new" if out == new else "old")
        shutil.rmtree(place)
        if ended:
            break
    assert ended and seen == {"old", "new"} and moment > 10


def killed(moment: int, out: Path, at_once: bool) -> bool:
    """Write over `out` in a child that dies at the given moment; whether it came to its end instead."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    left = moment

    def mortal(function):
        def call(*arguments, **options):
            nonlocal left
            left -= 1
            if left == -1:
                os._exit(9)
            made = function(*arguments, **options)
            left -= 1
            if left == -1:
                os._exit(9)
            return made

        return call

    try:
        for name in ("rename", "replace", "rmdir", "unlink", "mkdir", "write_bytes"):
            setattr(Path, name, mortal(getattr(Path, name)))
        swap = files.exchange
        files.exchange = mortal(swap if at_once else lambda a, b: False)
        write(OTHER, out)
        os._exit(0)
    except BaseException:
        os._exit(7)


@pytest.mark.parametrize("where", [".", ".."])
def test_the_current_folder_is_refused_before_anything_is_done(tmp_path, monkeypatch, where):
    here = tmp_path / "out" / "below"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    with (
        pytest.raises(OutputError, match=r"current folder.*Choose a new folder"),
        files.new_folder(Path(where), lambda _: []),
    ):
        raise AssertionError("the block must not run")
    write(GRAPH, Path("new"))  # one below it is fine
    assert (here / "new" / "image.c").exists()


def test_a_folder_keeps_its_mode(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o2770)
    write(GRAPH, out)
    assert out.stat().st_mode & 0o7777 == 0o2770


# ---- firmware.elf -------------------------------------------------------------------------------------------------


def forbid(*_: object, **__: object) -> tools.Outcome:
    raise AssertionError("a compiler is called")


def test_firmware_is_built_again_only_when_its_sources_changed(tmp_path, monkeypatch):
    out = tmp_path / "out"
    compiled = compiled_folder.compiled(GRAPH, HOST, out)
    with monkeypatch.context() as patched:
        patched.setattr(build, "compile_all", forbid)
        with prepare.prepared(out, HOST, GRAPH) as firmware:
            assert firmware.elf == (out / build.FIRMWARE).resolve() and firmware.sizes == compiled.firmware.sizes
    before = content(out)
    source = out / "image.c"
    edit(source, source.read_text() + "\n/* mine */\n")
    with prepare.prepared(out, HOST, GRAPH) as firmware:
        assert firmware.elf.parent != out
    assert content(out) == before | {"image.c": source.read_bytes()}


@pytest.mark.parametrize("how", ["nothing", "elf", "app"])
def test_firmware_that_is_not_what_it_should_be_is_not_run(tmp_path, monkeypatch, how):
    out, board = tmp_path / "out", HOST
    compiled_folder.compiled(GRAPH, board, out)
    if how == "elf":
        (out / build.FIRMWARE).write_bytes(b"\x7fELF")
    if how == "app":
        monkeypatch.setattr(build, "PORT_FLAGS", ("-O0",))
    assert (build.existing(out, Manifest.read(out), board) is None) == (how != "nothing")
