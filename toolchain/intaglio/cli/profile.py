"""`intaglio profile`: what an inference costs on a board, and whether it is exact."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import common

if TYPE_CHECKING:
    from ..graph import Array, Graph
    from ..progress import Say


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
    method: common.CalibrationMethod = None,
    keep_float: common.KeepFloat = None,
    weight_bits: common.WeightBits = None,
    activation_bits: common.ActivationBits = "8",
    module: common.Module = None,
    example: common.Example = None,
) -> None:
    """Count instructions by layer, measure memory, and compare every output byte with the NumPy reference.

    Exits with status 1 when a byte differs. Float32 outputs are compared by their relative error.
    """
    from .. import arrays, diverge, files, models, prepare
    from .. import profile as profiling
    from ..errors import DataError, RunError
    from ..graph import computes_in_float

    try:
        extra = shlex.split(qemu_args)
    except ValueError as error:
        raise DataError("--qemu-args", f"cannot be split ({error})", "arguments as in a shell") from error
    blame = ""
    with common.steps() as say:
        found = prepare.board_for(source, board)
        how = common.quantization(calibrate, method, keep_float, weight_bits, activation_bits)
        graph = models.reference(source, how, say, common.module_of(module, example))
        ports = models.ports_of(source, graph)[0]
        batch = (
            arrays.random_batch(ports, profiling.RANDOM_INPUTS)
            if inputs is None
            else arrays.batch(arrays.load(inputs, ports), ports, str(inputs))
        )
        with prepare.prepared(source, found, graph, say, calibrated=how is not None) as firmware:
            want = None if graph is None else _reference(graph, batch.arrays, say)
            say(f"running {len(batch)} inferences on {found.name}")
            exact = graph is None or not computes_in_float(graph)
            report = profiling.profile(firmware, batch.arrays, want, exact=exact, timeout=timeout, qemu_args=extra)
            if graph is not None and want is not None and report.bit_exact is False:
                say("looking for the layer that differs")
                blame = diverge.explain(graph, found, batch.arrays, report.result.outputs, want)
    if json == common.STDOUT:
        common.print_json(report.to_dict())
    else:
        report.table(common.console())
    if json is not None and json != common.STDOUT:
        keep = common.given(source, inputs, calibrate)
        files.write_file(json, common.json_text(report.to_dict()).encode(), keep)
    if report.result.console and qemu_args:
        common.console(stderr=True).print(report.result.console.rstrip())
    report.require_close()
    if blame:
        raise RunError(f"{report.model} on {report.board}", f"is not byte-exact: {blame}")


def _reference(graph: Graph, inputs: list[Array], say: Say) -> list[Array]:
    from .. import interpret

    n = len(inputs[0])
    return interpret.run(graph, inputs, lambda done: say("computing the reference", done, n))
