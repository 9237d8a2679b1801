"""Boards and targets: what the package holds is sound, and a bad file is a BoardError that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from intaglio import boards, targets
from intaglio.errors import BoardError, BuildError
from intaglio.manifest import Manifest
from intaglio.regions import CONTENTS

from . import fixture

GOOD = """
title = "mine"
target = "cortex-m4"

[memory]
flash_origin = 0x08000000
flash_bytes = 0x100000
ram_origin = 0x20000000
ram_bytes = 0x20000

[runner]
kind = "qemu-system"
machine = "netduinoplus2"
"""


def load(tmp_path: Path, text: str) -> boards.Board:
    folder = tmp_path / "my-board"
    folder.mkdir()
    (folder / "board.toml").write_text(text)
    return boards.load(folder)


def test_every_board_and_target_loads() -> None:
    assert {boards.load(name).target for name in boards.names()} == set(targets.names())
    assert "cortex-m55" in targets.names() and "qemu-mps2-an386" in boards.names()


def test_a_folder_outside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = load(tmp_path, GOOD)
    assert board.name == "my-board" and board.memory is not None and board.memory.stack_bytes == 4096
    assert board.folder == tmp_path / "my-board" and board.sources() == ()
    monkeypatch.chdir(tmp_path)
    assert boards.load("./my-board") == board


def test_an_unknown_board_is_told_the_nearest() -> None:
    with pytest.raises(BoardError, match=r"Did you mean qemu-mps2-an386\?"):
        boards.load("qemu-mps2-386")


def test_a_folder_without_a_board(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match=r"no board\.toml"):
        boards.load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ram_bytes", "ram_byte", r"memory\.ram_byte.*unknown key|memory\.ram_bytes.*missing"),
        ("ram_bytes = 0x20000", "ram_bytes = 0x20000\nsize = 1", r"memory\.size: unknown key.*Allowed: flash_bytes"),
        ("machine =", "machin =", r"runner\S*\.machine?: |Did you mean machine"),
        ('title = "mine"', 'title = "mine"\nname = "other"', "name: unknown key"),
        ("ram_bytes = 0x20000", "ram_bytes = 0", "memory.ram_bytes: found 0.*greater than 0"),
        ("ram_bytes = 0x20000", "ram_bytes = -4", "memory.ram_bytes: found -4"),
        ("ram_bytes = 0x20000", 'ram_bytes = "64K"', "memory.ram_bytes: found '64K'.*integer"),
        ("ram_bytes = 0x20000", "ram_bytes = 0xF0000000", "beyond the 32-bit address space"),
        ("ram_origin = 0x20000000", "ram_origin = 0x08010000", r"flash \(.*\) and RAM \(.*\) overlap"),
        ("ram_origin = 0x20000000", "ram_origin = 0x20000001", "multiple"),
        ("ram_bytes = 0x20000", "ram_bytes = 0x200", "stack of 4096 bytes leaves nothing"),
        ("cortex-m4", "cortex-m5", r"unknown target 'cortex-m5'.*Did you mean cortex-m"),
        ("cortex-m4", "cortex-a72", "memory: a memory map"),
        (
            "qemu-system",
            "qemu-sys",
            r"runner\.kind: unknown runner 'qemu-sys'.*: host, qemu-system, .*mean qemu-system\?",
        ),
        ('kind = "qemu-system"', "", r"runner\.kind: this key is missing.*host, qemu-system, qemu-user"),
        ('kind = "qemu-system"', "kind = 3", r"runner\.kind: unknown runner 3"),
        ("[runner]", "[runners]", r"runners: unknown key.*Did you mean runner\?|runner: this key is missing"),
        ("title", "[title", "is not TOML"),
    ],
)
def test_a_bad_board(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(BoardError, match=f"(?s)board.toml.*{message}|{message}") as caught:
        load(tmp_path, GOOD.replace(old, new))
    assert "board.toml" in str(caught.value)


MANY = Path(__file__).with_name("many_memories.toml").read_text()


def test_a_board_of_many_memories(tmp_path: Path) -> None:
    memory = load(tmp_path, MANY).memory
    assert memory is not None and memory.stack_bytes == 1024
    assert [memory.of(what).name for what in CONTENTS] == ["flash", "octospi", "dtcm", "axi_sram", "dtcm"]
    assert memory.total("flash") == 0x900000 and memory.total("ram") == 0xA1000
    assert memory.room(memory.of("stack")) == 0x4000000 and memory.at(0x20020001).name == "dtcm"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0x90000000", "0x080FF000", r"memory: flash \(.*\) and octospi \(.*\) overlap"),
        ("0x90000000", "0x90000004", r"memory\.regions\.1: octospi begins at 0x90000004; a multiple of 8"),
        ("0x08000000", "0x08000040", r"memory\.regions\.0: flash begins at 0x8000040; a multiple of 128"),
        ("0x90000000", "0xFFF00000", r"octospi ends at .*beyond the 32-bit address space"),
        ('holds = ["arena"]', "", r"memory: no region holds arena; one region of kind ram has to"),
        ('"stack", "data"', '"stack", "data", "arena"', r"memory: dtcm, axi_sram hold arena; one region of kind ram"),
        ('holds = ["arena"]', 'holds = ["arena", "code"]', r"memory\.regions\.3: axi_sram is ram and cannot hold code"),
        ('holds = ["arena"]', 'holds = ["heap"]', r"memory\.regions\.3\.holds\.0: found 'heap'"),
        ('name = "octospi"', 'name = "flash"', r"memory: two regions are called flash"),
        ('name = "octospi"', 'name = "a b"', r"memory\.regions\.1\.name: found 'a b'"),
        (
            "bytes = 0x1000\n",
            "bytes = 0x1000\nsize = 3\n",
            r"regions\.4\.size: unknown key.*Allowed: bytes, holds, kind",
        ),
        ("stack_bytes = 1024", "stack_bytes = 0x20000", r"a stack of 131072 bytes leaves nothing"),
        (
            "stack_bytes = 1024",
            "flash_bytes = 1024",
            r"memory\.flash_bytes: unknown key.*Allowed: regions, stack_bytes",
        ),
    ],
)
def test_a_bad_map_of_many_memories(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MANY
    with pytest.raises(BoardError, match=f"(?s)board.toml: .*{message}"):
        load(tmp_path, MANY.replace(old, new))


def test_a_bare_metal_board_needs_memory(tmp_path: Path) -> None:
    head, _, tail = GOOD.partition("[memory]")
    with pytest.raises(BoardError, match="memory: this key is missing"):
        load(tmp_path, head + tail[tail.index("[runner]") :])


def test_a_linux_board_runs_in_qemu_user(tmp_path: Path) -> None:
    text = 'title = "x"\ntarget = "cortex-a53"\n[runner]\nkind = "host"\n'
    with pytest.raises(BoardError, match=r"runner\.kind: 'host'.*Allowed: 'qemu-user'"):
        load(tmp_path, text)


def test_the_manifest_reads_back_what_it_writes(tmp_path: Path) -> None:
    manifest = Manifest.read(fixture.copy(tmp_path))
    (tmp_path / "tiny" / "intaglio.json").write_text(manifest.to_json())
    assert Manifest.read(tmp_path / "tiny") == manifest


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"intaglio": 2}', '{"model": "a b"}', "\udcff".encode("utf-8", "surrogateescape")]
)
def test_a_damaged_manifest(tmp_path: Path, text: str | bytes) -> None:
    (tmp_path / "intaglio.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BuildError, match=r"intaglio\.json"):
        Manifest.read(tmp_path)


def test_a_manifest_that_lies(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="does not exist"):
        Manifest.read(tmp_path)
    with pytest.raises(BuildError, match=r"gone\.c"):
        Manifest.read(fixture.copy(tmp_path, sources=["tiny.c", "gone.c"]))
    for source in ("/etc/passwd.c", "../tiny.c", "tiny.h"):
        (tmp_path / "tiny" / "intaglio.json").unlink()
        folder = fixture.copy(tmp_path / source.replace("/", "_"), sources=[source])
        (tmp_path / "tiny" / "intaglio.json").write_bytes((folder / "intaglio.json").read_bytes())
        with pytest.raises(BuildError, match="inside the folder"):
            Manifest.read(folder)
