"""From a folder of emitted C to firmware: compiled, linked, measured, refused where it does not fit, put in its place.

The parts are in firmware/, one file each.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from . import assets, stack, tools
from .boards import Board
from .errors import OutputError
from .firmware import linker, record
from .firmware.compiler import FLAGS, MANY_LAYERS, PORT_FLAGS, WARNINGS, compile_all, compile_command, link
from .firmware.elf import Sizes, buffer_bytes, image_sizes, object_sizes, refuse_heap, region_bytes, symbols
from .firmware.fit import check, check_fit
from .firmware.glue import glue
from .manifest import Built, Manifest

__all__ = [
    "FIRMWARE", "FLAGS", "WARNINGS", "Firmware", "Sizes", "application", "built", "check_fit", "compile_command",
    "compile_firmware", "existing", "generated", "glue", "made_by", "symbols",
]  # fmt: skip

FIRMWARE = "firmware.elf"


@dataclass(frozen=True)
class Firmware:
    """A linked program, ready to run."""

    elf: Path
    folder: Path
    board: Board
    manifest: Manifest
    sizes: Sizes


def compile_firmware(
    folder: Path, manifest: Manifest, board: Board, out: Path | None = None, cflags: Sequence[str] = ()
) -> Firmware:
    """Compile the model in `folder` with intaglio's application around it and link it for `board`.

    The application answers requests with inferences and measures memory (runtime_c/app/app.c). `out` is the ELF file to
    write, all at once; default folder/firmware.elf. `cflags` are added to every compilation and to the link.
    Raises ToolError without a compiler, BuildError when it refuses the code or a heap got in, FitError when the
    image does not fit the board, OutputError when `out` cannot be written.
    """
    check_fit(manifest, board)
    folder = folder.resolve()
    elf = (out or folder / FIRMWARE).resolve()
    target, runtime = board.load_target(), assets.root() / "runtime_c"
    with tempfile.TemporaryDirectory(prefix="intaglio-") as name:
        work = Path(name)
        for header, text in generated(manifest).items():
            (work / header).write_text(text, "utf-8")
        # Short names, so that the same files are the same bytes wherever the folder and intaglio are.
        places = {work: "app", runtime: "runtime_c", board.folder: "board", folder: "."}
        # -iquote: no file of the model can stand in for a header of the C library.
        flags = [*cflags, f"-iquote{folder}"]
        many = ["-fno-tree-pta"] if len(manifest.layers) > MANY_LAYERS else []
        graphs = [stack.FLAG] * (tools.gcc_version(target.gcc.program) >= stack.SINCE_GCC)
        sources = [folder / s for s in manifest.sources]
        model_objects = compile_all(target, sources, work / "model", [*flags, *many, *graphs], places)
        deepest = stack.deepest(
            [p.read_text("utf-8", "replace") for p in sorted((work / "model").glob(f"*{stack.SUFFIX}"))],
            f"{manifest.model}_run",
        )
        app_flags = [*flags, *PORT_FLAGS, f"-I{work}", f"-I{runtime / 'app'}"]
        app_objects = compile_all(target, application(board), work / "app", app_flags, places)
        linked = work / "firmware.elf"
        link_flags = [*cflags]
        if board.memory is not None:
            (work / "link.ld").write_text(linker.script(board.memory, manifest.model), "utf-8")
            link_flags += ["-T", str(work / "link.ld")]
        link(target, [*app_objects, *model_objects], linked, link_flags)
        if board.memory is None:
            sizes = object_sizes(model_objects, linked, manifest)
        else:
            refuse_heap(linked, manifest)
            sizes = image_sizes(linked, manifest, board.memory)
            check(manifest, board, sizes)
        _publish(linked, elf)
    return Firmware(elf, folder, board, manifest, replace(sizes, stack_static_bytes=deepest))


def application(board: Board) -> list[Path]:
    """The C files around a model: the application, the machine, the runner's transport, the board's own."""
    runtime = assets.root() / "runtime_c"
    machine = "cortex_m.c" if board.load_target().system == "bare-metal" else "posix.c"
    return [
        runtime / "app" / "app.c",
        runtime / "app" / "mark.c",
        runtime / "port" / machine,
        runtime / "transport" / board.runner.transport,
        *board.sources(),
    ]


def generated(manifest: Manifest) -> dict[str, str]:
    """Headers that the application includes."""
    return {"itg_app.h": glue(manifest), "itg_record.h": record.header()}


def made_by(manifest: Manifest, board: Board) -> str:
    """A hash of what firmware is made with besides the files of its folder: intaglio's application, the board's own
    files, and all options."""
    digest = hashlib.sha256()
    headers = sorted((assets.root() / "runtime_c" / "app").glob("*.h"))
    for part in (
        *(path.read_bytes() for path in (*headers, *application(board), *board.files())),
        *(text.encode() for text in generated(manifest).values()),
        board.load_target().model_dump_json().encode(),
        linker.script(board.memory, manifest.model).encode() if board.memory else b"",
        repr((FLAGS, PORT_FLAGS)).encode(),
    ):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def built(firmware: Firmware) -> Built:
    """What intaglio.json says of a firmware."""
    sizes = firmware.sizes
    return Built(
        sha256=hashlib.sha256(firmware.elf.read_bytes()).hexdigest(),
        made_by=made_by(firmware.manifest, firmware.board),
        flash_bytes=sizes.flash_bytes,
        ram_bytes=sizes.ram_bytes,
        stack_reserved_bytes=sizes.stack_reserved_bytes,
        stack_static_bytes=sizes.stack_static_bytes,
    )


def existing(folder: Path, manifest: Manifest, board: Board) -> Firmware | None:
    """The firmware of a folder, if building it now would give the same; None if it has to be built."""
    known, elf = manifest.firmware, (folder / FIRMWARE).resolve()
    if known is None or not manifest.unchanged(folder, FIRMWARE) or known.made_by != made_by(manifest, board):
        return None
    if not all(manifest.unchanged(folder, name) for name in manifest.files):
        return None
    sizes = Sizes(
        known.flash_bytes, manifest.weight_bytes, known.ram_bytes, known.stack_reserved_bytes, manifest.arena_bytes,
        buffer_bytes(manifest) if board.memory else 0, region_bytes(elf, board.memory) if board.memory else (),
        known.stack_static_bytes,
    )  # fmt: skip
    return Firmware(elf, folder.resolve(), board, manifest, sizes)


def _publish(linked: Path, elf: Path) -> None:
    """Put the finished file in its place in one step, so that nobody finds half of it."""
    part: Path | None = None
    try:
        elf.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=elf.parent, prefix=f".{elf.name}.")
        os.close(handle)
        part = Path(name)
        shutil.copyfile(linked, part)
        part.chmod(0o755)
        part.replace(elf)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise OutputError(str(elf), f"cannot be written ({error.strerror})", "", "Choose another folder") from error
