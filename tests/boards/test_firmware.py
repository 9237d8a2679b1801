"""Firmware of a handmade model on the boards: right bytes, right figures, and a typed error for each failure."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from intaglio import assets, boards, build, profile, runners, targets, tools
from intaglio.errors import BuildError, DataError, FitError, OutputError, RunError, ToolError
from intaglio.manifest import Manifest

from . import fixture

REFERENCE_COUNTER = assets.root().parent / "shared" / "tools" / "icnt.c"


@pytest.mark.parametrize("name", boards.names())
def test_a_model_on_every_board(name: str, tmp_path: Path) -> None:
    firmware = fixture.firmware(fixture.copy(tmp_path), name)
    x = fixture.inputs(3)
    report = profile.profile(firmware, [x], fixture.meaning(x))
    manifest, result = firmware.manifest, report.result
    assert report.bit_exact
    assert [out.shape for out in result.outputs] == [(3, 1, 4), (3, 1, 2)]
    assert report.memory.arena_bytes == report.memory.arena_high_water == manifest.arena_bytes
    memory = report.memory
    assert memory.stack_painted_bytes is not None and memory.stack_static_bytes is not None
    assert memory.stack_bytes == max(memory.stack_painted_bytes, memory.stack_static_bytes)
    assert 16 <= memory.stack_static_bytes < 400 and 32 <= memory.stack_painted_bytes < 400
    assert report.memory.flash_bytes == report.memory.flash_code_bytes + manifest.weight_bytes
    assert report.latency.cycles is None
    layers = report.to_dict()["layers"]
    if name == "host":
        assert report.latency.instructions is None and report.latency.seconds is not None
        assert [layer["instructions"] for layer in layers] == [None, None, None]
    else:
        total = report.latency.instructions
        assert result.instructions is not None and total == result.instructions[1] and report.latency.seconds is None
        scale, view, sums = (layer["instructions"] for layer in layers)
        assert view == 0 and 100 < scale < 400 and 100 < sums < 400
        assert 0 <= total - scale - sums < 40
    text = io.StringIO()
    report.table(Console(file=text, width=120))
    assert "scale" in text.getvalue() and "byte for byte" in text.getvalue()


def test_the_report_has_the_schema_of_the_design(tmp_path: Path) -> None:
    report = profile.profile(fixture.firmware(fixture.copy(tmp_path), "host"), [fixture.inputs(1)]).to_dict()
    assert list(report) == ["model", "board", "bit_exact", "latency", "memory", "layers", "elf"]
    assert report["bit_exact"] is None
    assert list(report["latency"]) == ["instructions", "cycles", "seconds"]
    assert list(report["memory"])[:6] == [
        "flash_bytes", "flash_code_bytes", "flash_weight_bytes", "ram_bytes", "arena_bytes", "stack_bytes",
    ]  # fmt: skip
    assert all(list(layer) == ["name", "op", "macs", "instructions", "cycles"] for layer in report["layers"])


def test_a_wrong_reference_is_not_bit_exact(tmp_path: Path) -> None:
    firmware, x = fixture.firmware(fixture.copy(tmp_path), "host"), fixture.inputs(2)
    y, sums = fixture.meaning(x)
    sums[1, 1] += 1
    assert profile.profile(firmware, [x], [y, sums]).bit_exact is False
    with pytest.raises(DataError, match="shape"):
        profile.profile(firmware, [x], [y[:1], sums])


@pytest.mark.parametrize("name", ["qemu-microbit", "qemu-mps2-an386", "qemu-mps3-an547", "qemu-rpi4"])
def test_an_independent_counter_agrees(name: str, tmp_path: Path) -> None:
    if not REFERENCE_COUNTER.is_file():
        pytest.skip("the independent counter (shared/tools/icnt.c) is not beside this checkout")
    firmware, x = fixture.firmware(fixture.copy(tmp_path), name), fixture.inputs(3)
    counter, out = tmp_path / "icnt.so", tmp_path / "icnt.txt"
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-w", REFERENCE_COUNTER, "-o", counter], check=True)
    at = build.symbols(firmware.elf)
    marks = f"begin={at['itg_mark_begin'][0]:#x},end={at['itg_mark_end'][0]:#x}"
    arguments = ["-plugin", f"{counter},{marks},out={out}"]
    result = runners.run(firmware, [x], count=True, qemu_args=arguments)
    theirs = [int(line.split("insns=")[1].split()[0]) for line in out.read_text().splitlines() if "REGION" in line]
    assert result.instructions == theirs and len(theirs) == 3


@pytest.mark.parametrize("name", ["host", "qemu-mps2-an386"])
def test_it_is_told_how_many_inferences_are_done(name: str, tmp_path: Path) -> None:
    firmware, told = fixture.firmware(fixture.copy(tmp_path), name), []
    runners.run(firmware, [fixture.inputs(7)], done=told.append)
    assert told[-1] == 7 and told == sorted(told)


def test_an_only_inference_has_its_layers_too(tmp_path: Path) -> None:
    result = runners.run(fixture.firmware(fixture.copy(tmp_path), "qemu-mps2-an386"), [fixture.inputs(1)], count=True)
    assert result.instructions is not None and result.layers is not None
    assert len(result.instructions) == 1 and sum(result.layers.values()) <= result.instructions[0]
    assert min(result.layers.values()) > 100


def test_the_same_firmware_twice_and_from_elsewhere(tmp_path: Path) -> None:
    first = fixture.firmware(fixture.copy(tmp_path / "a"), "qemu-mps2-an386").elf.read_bytes()
    assert first == fixture.firmware(fixture.copy(tmp_path / "bb"), "qemu-mps2-an386").elf.read_bytes()


def test_nothing_else_is_written(tmp_path: Path) -> None:
    folder = fixture.copy(tmp_path)
    before = set(folder.rglob("*"))
    runners.run(fixture.firmware(folder, "host"), [fixture.inputs(1)])
    assert set(folder.rglob("*")) - before == {folder / "firmware.elf"}


def test_address_sanitizer_leaves_the_stack_unmeasured(tmp_path: Path) -> None:
    board = boards.load("host")
    fixture.need(board)
    folder = fixture.copy(tmp_path)
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    firmware = build.compile_firmware(folder, Manifest.read(folder), board, cflags=flags)
    result = runners.run(firmware, [fixture.inputs(2)])
    assert result.stack_bytes is None and result.arena_high_water == 24


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("name", targets.names())
def test_the_port_compiles_without_a_warning(name: str, compiler: str, tmp_path: Path) -> None:
    target = targets.load(name)
    for program in (target.gcc.program, compiler):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = fixture.copy(tmp_path)
    for header, text in build.generated(Manifest.read(folder)).items():
        (tmp_path / header).write_text(text)
    board = next(board for board in map(boards.load, boards.names()) if board.target == name)
    for source in [*build.application(board), folder / "tiny.c"]:
        flags = [*build.WARNINGS, f"-I{tmp_path}", f"-I{folder}", f"-I{assets.root() / 'runtime_c' / 'app'}"]
        subprocess.run(build.compile_command(target, source, tmp_path / "x.o", flags, compiler), check=True)


# ---- failures -------------------------------------------------------------------------------------------------------


def test_a_full_folder_for_temporary_files_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fixture.copy(tmp_path)
    (folder / "tiny.c").write_text("not C")
    monkeypatch.setattr(tools, "temporary_space", lambda: 512)
    with pytest.raises(BuildError, match=r"is full.*TMPDIR"):
        build.compile_firmware(folder, Manifest.read(folder), boards.load("host"))


@pytest.mark.parametrize("name", ["host", "qemu-mps2-an386", "qemu-rpi4"])
def test_no_compiler(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fixture.copy(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ToolError, match="sudo apt-get install gcc"):
        build.compile_firmware(folder, Manifest.read(folder), boards.load(name))


@pytest.mark.parametrize("name", ["qemu-mps2-an386", "qemu-rpi4"])
def test_no_qemu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = fixture.firmware(fixture.copy(tmp_path), name)
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(ToolError, match="sudo apt-get install qemu-"):
        runners.run(firmware, [fixture.inputs(1)])


@pytest.mark.parametrize("name", ["host", "qemu-microbit", "qemu-rpi4"])
def test_a_firmware_that_hangs(name: str, tmp_path: Path) -> None:
    edit = {"kernels/scale.c": ("volatile int32_t frame[8];", "volatile int32_t frame[8] = {1}; while (frame[0]) {}")}
    firmware = fixture.firmware(fixture.copy(tmp_path, edit), name)
    with pytest.raises(RunError, match=r"still running after 0\.5 seconds"):
        runners.run(firmware, [fixture.inputs(1)], timeout=0.5)


@pytest.mark.parametrize("name", ["host", "qemu-microbit", "qemu-mps2-an386", "qemu-mps3-an547", "qemu-rpi4"])
def test_a_firmware_that_crashes(name: str, tmp_path: Path) -> None:
    edit = {"kernels/scale.c": ("volatile int32_t frame[8];", "volatile int32_t frame[8]; __builtin_trap();")}
    firmware = fixture.firmware(fixture.copy(tmp_path, edit), name)
    told = "hard fault, pc 0" if name.startswith(("qemu-m",)) else "ended by signal"
    with pytest.raises(RunError, match=told):
        runners.run(firmware, [fixture.inputs(1)])


@pytest.mark.parametrize("name", ["qemu-microbit", "qemu-mps2-an386", "qemu-mps2-an505", "qemu-mps3-an547"])
def test_a_stack_overflow_is_found(name: str, tmp_path: Path) -> None:
    fill = "volatile uint8_t deep[20000]; for (int k = 20000; k > 0; k--) { deep[k - 1] = 1; }"
    edit = {"kernels/scale.c": ("volatile int32_t frame[8];", f"volatile int32_t frame[8]; {fill}")}
    firmware = fixture.firmware(fixture.copy(tmp_path, edit), name)
    with pytest.raises(RunError, match=r"stack overflow|hard fault|ended by signal"):
        runners.run(firmware, [fixture.inputs(1)], timeout=30)


def test_weights_beyond_the_flash_are_refused_before_compiling(tmp_path: Path) -> None:
    folder = fixture.copy(tmp_path, weight_bytes=300_000)
    with pytest.raises(FitError, match=r"(?s)does not fit in flash.*at least 300,000\s+262,144.*stack reserve"):
        build.check_fit(Manifest.read(folder), boards.load("qemu-microbit"))


def test_an_arena_beyond_the_ram_is_refused_before_compiling(tmp_path: Path) -> None:
    folder = fixture.copy(tmp_path, arena_bytes=20_000)
    with pytest.raises(FitError, match=r"(?s)does not fit in RAM.*arena\s+20,000.*fullest at sums"):
        build.check_fit(Manifest.read(folder), boards.load("qemu-microbit"))


def test_an_image_beyond_the_flash_is_refused_with_its_size(tmp_path: Path) -> None:
    board = boards.load("qemu-microbit")
    fixture.need(board)
    assert board.memory is not None
    flash = board.memory.of("code").model_copy(update={"bytes": 512})
    regions = (flash, *(region for region in board.memory.regions if region.kind == "ram"))
    small = board.model_copy(update={"memory": board.memory.model_copy(update={"regions": regions})})
    folder = fixture.copy(tmp_path)
    with pytest.raises(FitError, match=r"(?s)flash\s+\d,\d+\s+512.*code and tables.*other variables"):
        build.compile_firmware(folder, Manifest.read(folder), small)
    assert not (folder / "firmware.elf").exists()


def test_code_that_does_not_compile(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"(?s)scale\.c .*does not compile.*error: "):
        fixture.firmware(fixture.copy(tmp_path, {"kernels/scale.c": ("int8_t", "int7_t")}), "qemu-mps3-an547")


def test_files_of_two_releases_are_never_mixed(tmp_path: Path) -> None:
    folder = fixture.copy(tmp_path)
    (folder / "itg.h").write_text("#define ITG_ABI 999\n")
    with pytest.raises(BuildError, match="two releases of intaglio"):
        fixture.firmware(folder, "host")


def test_a_heap_is_refused(tmp_path: Path) -> None:
    calls = {"kernels/scale.c": ('#include "scale.h"', '#include "scale.h"\n#include <stdlib.h>\nvoid *p;\n')}
    folder = fixture.copy(tmp_path, calls)
    text = (folder / "kernels/scale.c").read_text()
    (folder / "kernels/scale.c").write_text(
        text.replace("volatile int32_t frame[8];", "volatile int32_t frame[8]; p = malloc(9);")
        + "extern char *sbrk_top;\nvoid *_sbrk(int n);\nvoid *_sbrk(int n)\n{\n    (void)n;\n    return 0;\n}\n"
    )
    with pytest.raises(BuildError, match=r"contains a heap: .*malloc"):
        fixture.firmware(folder, "qemu-mps2-an386")


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    board = boards.load("host")
    fixture.need(board)
    folder = fixture.copy(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        build.compile_firmware(folder, Manifest.read(folder), board, tmp_path / "file" / "firmware.elf")


def test_inputs_that_do_not_match(tmp_path: Path) -> None:
    firmware, x = fixture.firmware(fixture.copy(tmp_path), "host"), fixture.inputs(2)
    assert np.array_equal(runners.run(firmware, [x.reshape(2, 1, 16)]).outputs[0][:, 0], fixture.meaning(x)[0])
    for bad in ([], [x, x], [x.astype(np.int16)], [x[:, :15]], [x.reshape(2, 16, 1)], [x[:0]], [x[0]]):
        with pytest.raises(DataError):
            runners.run(firmware, bad)
    with pytest.raises(DataError, match="does not run in QEMU"):
        runners.run(firmware, [x], qemu_args=["-d", "in_asm"])


def test_the_plugin_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for program in ("gcc", "qemu-system-arm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = profile.plugin()
    stamp = first.stat().st_mtime_ns
    assert first.parent == tmp_path / "cache" / "intaglio" and profile.plugin().stat().st_mtime_ns == stamp
    assert os.listdir(first.parent) == [first.name]


def test_no_gcc_for_the_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    qemu = shutil.which("qemu-system-arm")
    if qemu is None:
        pytest.skip("qemu-system-arm is not installed")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "qemu-system-arm").symlink_to(qemu)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ToolError, match="apt-get install gcc"):
        profile.plugin()
