"""Sessions: one firmware for any number of inferences, and the record with which it answers."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from intaglio import boards, build, interpret, prepare, profile, runners
from intaglio.errors import RunError
from intaglio.firmware import record
from intaglio.ops.max_pool2d import MaxPool2D

from . import fixture


@pytest.mark.parametrize("name", ["host", "qemu-mps2-an386", "qemu-rpi4"])
def test_one_process_serves_many_runs(name: str, tmp_path: Path) -> None:
    firmware = fixture.firmware(fixture.copy(tmp_path), name)
    x = fixture.inputs(40)
    parts = [x[:3], *(x[i : i + 5] for i in range(0, 40, 5))]
    with runners.open(firmware, count=True) as session:
        got = [session.run([parts[0]])]
        before = session.figures()
        got += [session.run([part]) for part in parts[1:]]
        os.kill(session._link._process.pid, 0)  # type: ignore[attr-defined]
    # Each run starts from reset: its outputs are those of its inputs alone.
    for outputs, part in zip(got, parts, strict=True):
        assert [a.tobytes() for a in outputs] == [b.tobytes() for b in fixture.meaning(part)]
    figures = session.figures()
    assert before.stack_bytes == figures.stack_bytes and figures.arena_high_water == 24
    if name == "host":
        assert figures.instructions is None and before.seconds is not None
        assert figures.seconds is not None and figures.seconds <= before.seconds
    else:
        assert before.instructions is not None and figures.instructions is not None
        assert len(before.instructions) == 3 and len(figures.instructions) == 43 and figures.seconds is None
        assert before.layers == figures.layers == profile.profile(firmware, [x[:3]]).result.layers
    with pytest.raises(RunError, match="has ended"):
        session.run([x])


def test_a_program_starts_once_however_many_inferences_there_are(tmp_path: Path) -> None:
    firmware, x = fixture.firmware(fixture.copy(tmp_path), "host"), fixture.inputs(20_000)
    told: list[int] = []
    outputs = runners.run(firmware, [x], done=told.append).outputs
    assert outputs[0].tobytes() == fixture.meaning(x)[0].tobytes() and told[-1] == 20_000


@pytest.mark.parametrize("name", ["host", "qemu-mps2-an386"])
def test_inputs_and_outputs_larger_than_a_pipe(name: str) -> None:
    board = boards.load(name)
    fixture.need(board)
    b = tiny_models.Build("wide", tiny_models.Tensor("x", (1, 300, 300, 4), "int8", tiny_models.Q))
    graph = b.graph(b.add(MaxPool2D((1, 2), (1, 2)), "x"))
    x = np.random.default_rng(0).integers(-128, 128, (3, 1, 300, 300, 4), np.int8)
    with prepare.prepared(None, board, graph) as firmware:
        assert firmware.manifest.output_bytes > 1 << 16
        outputs = runners.run(firmware, [x]).outputs
    assert outputs[0].tobytes() == interpret.run(graph, [x])[0].tobytes()


def test_an_error_ends_the_program(tmp_path: Path) -> None:
    firmware = fixture.firmware(fixture.copy(tmp_path), "host")
    session = runners.open(firmware)
    link = session._link  # type: ignore[attr-defined]

    def told(done: int) -> None:
        raise KeyError(done)

    with pytest.raises(KeyError), session:
        session.run([fixture.inputs(1)], done=told)
    assert not Path(link._folder.name).exists() and link._process.poll() is not None


LAYOUTS = {1: ("version", "arena_bytes", "stack_bytes", "nanoseconds_low", "nanoseconds_high")}


def test_another_layout_of_the_record_is_another_version() -> None:
    assert LAYOUTS[record.VERSION] == record.FIELDS


def test_firmware_of_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(record, "VERSION", record.VERSION + 1)
        firmware = fixture.firmware(fixture.copy(tmp_path), "host")
        made = build.made_by(firmware.manifest, firmware.board)
    with pytest.raises(RunError, match=f"record of version {record.VERSION + 1}.*Build it again"):
        runners.run(firmware, [fixture.inputs(1)])
    assert build.made_by(firmware.manifest, firmware.board) != made  # so that a folder's own is built again
