"""`intaglio profile`: what an inference costs on a board, and whether it is exact."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from ..graph import Array, Graph
    from ..package import Say

RANDOM_INPUTS = 4


def profile(
    source: common.Source,
    board: common.BoardName = None,
    inputs: Annotated[
        Path | None, typer.Option("--inputs", metavar="X.npz", help="Inputs; without them, seeded random ones.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", metavar="F", help="Write JSON there; `-` is stdout, without the tables.")
    ] = None,
    qemu_args: Annotated[
        str, typer.Option("--qemu-args", metavar='"..."', help="More arguments for QEMU, as a shell would split them.")
    ] = "",
    timeout: common.Timeout = 600.0,
    calibrate: common.Calibrate = None,
    method: common.CalibrationMethod = "percentile",
) -> None:
    """Count instructions by layer, measure memory, and compare every output byte with the NumPy reference.

    Exits with status 1 when a byte differs.
    """
    from .. import arrays, diverge, files, package
    from ..errors import DataError, RunError
    from ..profile import profile as measure

    try:
        extra = shlex.split(qemu_args)
    except ValueError as error:
        raise DataError("--qemu-args", f"cannot be split ({error})", "arguments as in a shell") from error
    blame = ""
    with common.steps() as say:
        found = package.board_for(source, board)
        graph = package.reference(source, calibrate, method, say)
        ports = package.ports_of(source, graph)[0]
        batch = (
            arrays.random_batch(ports, RANDOM_INPUTS)
            if inputs is None
            else arrays.batch(arrays.load(inputs, ports), ports, str(inputs))
        )
        with package.prepared(source, found, graph, say) as firmware:
            want = None if graph is None else _reference(graph, batch.arrays, say)
            say(f"running {len(batch)} inferences on {found.name}")
            report = measure(firmware, batch.arrays, want, timeout=timeout, qemu_args=extra)
            if graph is not None and want is not None and not report.bit_exact:
                say("looking for the layer that differs")
                blame = diverge.explain(graph, found, batch.arrays, report.result.outputs, want)
    if json == common.STDOUT:
        common.print_json(report.to_dict())
    else:
        report.table(common.console())
    if json is not None and json != common.STDOUT:
        keep = (source, inputs) if inputs else (source,)
        files.write_file(json, common.json_text(report.to_dict()).encode(), keep)
    if report.result.console and qemu_args:
        common.console(stderr=True).print(report.result.console.rstrip())
    if blame:
        raise RunError(f"{report.model} on {report.board}", f"is not byte-exact: {blame}")


def _reference(graph: Graph, inputs: list[Array], say: Say) -> list[Array]:
    from .. import interpret

    n = len(inputs[0])
    return interpret.run(graph, inputs, lambda done: say("computing the reference", done, n))
