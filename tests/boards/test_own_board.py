"""What a user adds without editing the package: a board with C and memories of its own, and a runner."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import tiny_models
from typer.testing import CliRunner

from intaglio import boards, build, doctor, profile, runners
from intaglio.cli import app
from intaglio.emit import tflite
from intaglio.errors import BoardError, FitError
from intaglio.manifest import Manifest

from . import fixture

BOARD_C = """
#include "itg_port.h"
#include "words.h"

void itg_board_init(void)
{
    itg_port_print(WORDS);
}
"""


@pytest.mark.parametrize("like", ["host", "qemu-mps2-an386", "qemu-rpi4"])
def test_a_board_brings_its_own_c(like: str, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "board.toml").write_text((boards.load(like).folder / "board.toml").read_text())
    (folder / "board.c").write_text(BOARD_C)
    (folder / "words.h").write_text('#define WORDS "clocks are up\\n"\n')
    board, model, x = boards.load(folder), fixture.copy(tmp_path), fixture.inputs(2)
    fixture.need(board)
    manifest = Manifest.read(model)
    result = runners.run(build.compile_firmware(model, manifest, board), [x])
    assert result.console == "clocks are up\n"
    assert result.outputs[0].tobytes() == fixture.meaning(x)[0].tobytes()
    made = build.made_by(manifest, board)
    (folder / "words.h").write_text('#define WORDS "clocks are down\\n"\n')
    assert build.made_by(manifest, board) != made


# ---- memory regions -------------------------------------------------------------------------------------------------

REGIONS = """
title = "MPS2 AN386 with weights and arena in memories of their own"
target = "cortex-m4"
[memory]
stack_bytes = 4096
[[memory.regions]]
name = "flash"
kind = "flash"
origin = 0x0
bytes = {flash}
holds = ["code"]
[[memory.regions]]
name = "external"
kind = "flash"
origin = 0x200000
bytes = {external}
holds = ["weights"]
[[memory.regions]]
name = "sram"
kind = "ram"
origin = 0x20000000
bytes = {sram}
holds = ["data", "stack"]
[[memory.regions]]
name = "psram"
kind = "ram"
origin = 0x21000000
bytes = {psram}
holds = ["arena"]
[runner]
kind = "qemu-system"
machine = "mps2-an386"
"""


def regions(tmp_path: Path, flash: int = 8192, external: int = 64, sram: int = 8192, psram: int = 24) -> boards.Board:
    folder = tmp_path / "regions"
    folder.mkdir()
    text = REGIONS.format(flash=flash, external=external, sram=sram, psram=psram)
    (folder / "board.toml").write_text(text)
    return boards.load(folder)


def test_each_region_holds_what_the_board_says(tmp_path: Path) -> None:
    board, model, x = regions(tmp_path), fixture.copy(tmp_path), fixture.inputs(3)
    fixture.need(board)
    firmware = build.compile_firmware(model, Manifest.read(model), board)
    at = {name: address for name, (address, _) in build.symbols(firmware.elf).items()}
    assert at["tiny_arena"] == 0x21000000 and at["tiny_weights"] == 0x200000 and at["itg_stack_limit"] == 0x20000000
    assert at["tiny_run"] < 8192 and 0x20001000 <= at["itg_bss_start"] < 0x20002000
    report = profile.profile(firmware, [x], fixture.meaning(x))
    assert report.bit_exact and report.memory.arena_high_water == 24
    used = dict(firmware.sizes.regions)
    assert used["external"] == 16 and used["psram"] == 24 and 4096 < used["sram"] < 4200
    assert used["flash"] + used["external"] == firmware.sizes.flash_bytes
    assert used["sram"] + used["psram"] == firmware.sizes.ram_bytes + 4096


def test_compile_shows_what_each_region_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = regions(tmp_path, external=8192, psram=8192, flash=1 << 16)
    fixture.need(board)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "image.tflite").write_bytes(tflite.write(tiny_models.image()))
    arguments = ["compile", str(tmp_path / "image.tflite"), "--board", str(board.folder), "-o", str(tmp_path / "out")]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0, shown.output
    for row in (r"flash: code +\d,\d{3} +65,536", r"external: weights +1,\d{3} +8,192", r"psram: arena +\d+ +8,192"):
        assert re.search(row, shown.output), shown.output


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"external": 8}, r"in external \(bytes\).*\n +external +at least 16 +8\n +weights and biases +16\n"),
        ({"psram": 16}, r"in psram \(bytes\).*\n +psram +at least 24 +16\n +arena +24\n.*fullest at sums"),
        ({"flash": 512}, r"in flash \(.*\n +flash +1,\d{3} +512\n +code and tables +1,\d{3}\n +external +16 +64\n"),
        ({"sram": 4104, "psram": 8}, r"in sram or psram \(bytes\).* buffers +28\n +stack reserve +4,096\n"),
    ],
)
def test_what_does_not_fit_a_region_is_refused(tmp_path: Path, sizes: dict[str, int], told: str) -> None:
    board, model = regions(tmp_path, **sizes), fixture.copy(tmp_path)
    fixture.need(board)
    with pytest.raises(FitError, match=f"(?s){told}"):
        build.compile_firmware(model, Manifest.read(model), board)


# ---- a runner -------------------------------------------------------------------------------------------------------

RUNNER_PY = '''
"""A program of this computer, reached through a socket instead of pipes."""

import socket
import tempfile
import time
from pathlib import Path
from typing import ClassVar, Literal

from intaglio import tools
from intaglio.runners.base import Runner
from intaglio.runners.session import LinkError, LinkSession


class SocketRunner(Runner):
    systems: ClassVar = ("host",)
    measures: ClassVar = frozenset({"arena"})
    transport: ClassVar = str(Path(__file__).with_name("socket.c"))
    kind: Literal["socket"]
    backlog: int = 1

    def programs(self):
        return ("true",)

    def open(self, firmware, options):
        return LinkSession(firmware, SocketLink(firmware, self.backlog), options)


class SocketLink:
    window = 0

    def __init__(self, firmware, backlog):
        self.folder = tempfile.TemporaryDirectory()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.folder.name + "/itg.sock")
        self.server.listen(backlog)
        self.process = tools.start([firmware.elf], cwd=Path(self.folder.name))
        self.line = self.server.accept()[0]

    def send(self, data, deadline):
        self.line.sendall(data)

    def receive(self, count, deadline):
        data = b""
        while len(data) < count:
            part = self.line.recv(count - len(data))
            if not part:
                raise LinkError("hung up")
            data += part
        return data

    def close(self, deadline):
        self.line.shutdown(socket.SHUT_WR)
        self.process.wait(deadline - time.monotonic())

    def cut(self):
        self.line.close()
        self.server.close()
        tools.end(self.process)
        self.process.stdout.close()
        self.folder.cleanup()

    def console(self):
        return ""
'''
SOCKET_C = """
#include "itg_port.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void itg_link_open(itg_link *link)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, "itg.sock");
    link->requests = link->replies = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(link->requests, (const struct sockaddr *)&at, sizeof at) != 0) {
        exit(3);
    }
}

uint32_t itg_link_read(const itg_link *link, void *to, uint32_t bytes)
{
    return (uint32_t)recv(link->requests, to, bytes, MSG_WAITALL);
}

uint32_t itg_link_write(const itg_link *link, const void *from, uint32_t bytes)
{
    return (uint32_t)send(link->replies, from, bytes, 0);
}

void itg_port_print(const char *text)
{
    (void)text;
}

void itg_port_exit(int code)
{
    exit(code);
}
"""
BOARD = """
title = "over a socket"
target = "host"
[runner]
kind = "socket"
"""


def test_a_runner_is_a_module_and_a_c_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, folder = tmp_path / "more_runners", tmp_path / "mine"
    package.mkdir()
    folder.mkdir()
    (package / "on_socket.py").write_text(RUNNER_PY)
    (package / "socket.c").write_text(SOCKET_C)
    (folder / "board.toml").write_text(BOARD)
    with pytest.raises(BoardError, match=r"unknown runner 'socket'\. Allowed: host, qemu-system, qemu-user"):
        boards.load(folder)
    monkeypatch.setattr(runners, "__path__", [*runners.__path__, str(package)])
    for bad, told in (
        (BOARD.replace('"socket"', '"sockets"'), "Allowed: host, qemu-system, qemu-user, socket. Did you mean socket?"),
        (BOARD + "backlogs = 2\n", "runner.backlogs: unknown key. Allowed: backlog, kind. Did you mean backlog?"),
        (BOARD + "backlog = 'two'\n", "runner.backlog: found 'two'"),
        (BOARD.replace('"host"', '"cortex-a53"'), "'socket' with target cortex-a53. Allowed: 'qemu-user'"),
    ):
        (folder / "board.toml").write_text(bad)
        with pytest.raises(BoardError) as error:
            boards.load(folder)
        assert told in str(error.value)
    (folder / "board.toml").write_text(BOARD)
    board, model, x = boards.load(folder), fixture.copy(tmp_path), fixture.inputs(300)
    fixture.need(board)
    firmware = build.compile_firmware(model, Manifest.read(model), board)
    report = profile.profile(firmware, [x], fixture.meaning(x))
    assert report.bit_exact and report.memory.arena_high_water == 24
    assert report.memory.stack_painted_bytes is None and report.latency.seconds is None  # not among its `measures`
    monkeypatch.setattr(boards, "names", lambda: ["mine"])
    monkeypatch.setattr(boards, "load", lambda name: board)
    assert ("true", "host") in [(check.name, check.purpose) for check in doctor.examine()]
