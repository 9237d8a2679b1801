"""From a folder of emitted C to firmware: cross compile, link, sizes, and whether it fits."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from . import assets, stack, tools
from .boards import Board, Memory
from .errors import BuildError, FitError, OutputError
from .manifest import Built, Manifest
from .targets import Target

FLAGS = ("-std=c99", "-O2", "-g", "-gdwarf-4", "-ffunction-sections", "-fdata-sections")
"""For every target. -g makes line tables for the profile; they stay in the ELF file and take no flash."""
PORT_FLAGS = ("-Os", "-fno-tree-loop-distribute-patterns")
"""For the application around the model: small, and no loop turned into a call of the C library."""
MANY_LAYERS = 2000
"""Above that, GCC does without its points-to analysis, which takes a time that grows with the square of the calls."""
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
"""What generated code compiles clean with."""
HEAP = frozenset(
    prefix + name + suffix
    for name in ("malloc", "calloc", "realloc", "free", "sbrk")
    for prefix, suffix in (("", ""), ("_", ""), ("_", "_r"))
)
"""Symbols that show that a firmware has a heap."""
_COMPILE_SECONDS = 300.0
_ROOM = 64 * 1024
"""Bytes of temporary space below which a compiler that fails has probably failed for want of it."""


@dataclass(frozen=True)
class Sizes:
    """Bytes of a firmware.

    On bare metal, of the whole linked image. On Linux and the host most of an executable is the C library and not
    ours: there these are the sections of the model's and kernels' own objects.
    """

    flash_bytes: int
    """Everything loaded: code, constants and the initial values of variables."""
    flash_weight_bytes: int
    """Weights and biases (manifest.weight_bytes)."""
    ram_bytes: int
    """Variables (.data, .bss) with the arena and, on bare metal, the input and output buffers; no stack."""
    stack_reserved_bytes: int
    """RAM kept for the stack by the board; 0 under an operating system."""
    arena_bytes: int
    """The arena, as its symbol in the ELF file shows; what fills its last word is among the other variables."""
    buffer_bytes: int
    """Input and output buffers among the variables; 0 where `ram_bytes` leaves them out."""
    stack_static_bytes: int | None = None
    """Frames on the deepest chain of calls from <model>_run, without the C library's; None where GCC does not tell."""

    @property
    def ram_parts(self) -> list[tuple[str, int]]:
        """What the variables are, by name and bytes; they add up to `ram_bytes`."""
        other = self.ram_bytes - self.arena_bytes - self.buffer_bytes
        buffers = ("input and output buffers", self.buffer_bytes)
        parts = [("arena", self.arena_bytes), buffers, ("other variables", other)]
        return [(name, count) for name, count in parts if count or name == "arena"]

    @property
    def flash_code_bytes(self) -> int:
        """Everything in flash but weights and biases."""
        return self.flash_bytes - self.flash_weight_bytes


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

    The application feeds inferences from a file and measures memory (runtime_c/port/app.c). `out` is the ELF file to
    write, all at once; default folder/firmware.elf. `cflags` are added to every compilation and to the link.
    Raises ToolError without a compiler, BuildError when it refuses the code or a heap got in, FitError when the
    image does not fit the board, OutputError when `out` cannot be written.
    """
    check_fit(manifest, board)
    folder = folder.resolve()
    elf = (out or folder / FIRMWARE).resolve()
    target = board.load_target()
    port = assets.root() / "runtime_c" / "port"
    port_sources = [port / name for name in _PORT[target.system]]
    with tempfile.TemporaryDirectory(prefix="intaglio-") as name:
        work = Path(name)
        (work / "itg_app.h").write_text(glue(manifest), "utf-8")
        # Short relative names in the debug information: the same bytes wherever the folder and intaglio are.
        maps = [f"-ffile-prefix-map={path}={short}" for path, short in ((work, "app"), (port, "port"), (folder, "."))]
        # -iquote: no file of the model can stand in for a header of the C library.
        flags = [*maps, *cflags, f"-iquote{folder}"]
        many = ["-fno-tree-pta"] if len(manifest.layers) > MANY_LAYERS else []
        graphs = [stack.FLAG] * (tools.gcc_version(target.gcc.program) >= stack.SINCE_GCC)
        sources = [folder / s for s in manifest.sources]
        model_objects = _compile_all(target, sources, work / "model", [*flags, *many, *graphs])
        deepest = stack.deepest(
            [p.read_text("utf-8", "replace") for p in sorted((work / "model").glob(f"*{stack.SUFFIX}"))],
            f"{manifest.model}_run",
        )
        port_objects = _compile_all(
            target, port_sources, work / "port", [*flags, *PORT_FLAGS, f"-I{work}", f"-I{port}"]
        )
        linked = work / "firmware.elf"
        _link(target, board.memory, [*port_objects, *model_objects], work, linked, cflags)
        if board.memory is None:
            sizes = _object_sizes(model_objects, linked, manifest)
        else:
            _refuse_heap(linked, manifest)
            sizes = _image_sizes(linked, manifest, board.memory)
            _check(board, sizes.flash_bytes, sizes.ram_bytes + sizes.stack_reserved_bytes, manifest, sizes)
        _publish(linked, elf)
    return Firmware(elf, folder, board, manifest, replace(sizes, stack_static_bytes=deepest))


def made_by(manifest: Manifest, board: Board) -> str:
    """A hash of what firmware is made with besides the files of its folder: intaglio's application, and all options."""
    target = board.load_target()
    port = assets.root() / "runtime_c" / "port"
    digest = hashlib.sha256()
    for part in (
        *((port / name).read_bytes() for name in sorted(p.name for p in port.iterdir() if p.is_file())),
        glue(manifest).encode(),
        target.model_dump_json().encode(),
        board.memory.model_dump_json().encode() if board.memory else b"",
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
    """The firmware that lies in a folder, if it is what building it now would give; None if it has to be built."""
    known, elf = manifest.firmware, (folder / FIRMWARE).resolve()
    if known is None or not manifest.unchanged(folder, FIRMWARE) or known.made_by != made_by(manifest, board):
        return None
    if not all(manifest.unchanged(folder, name) for name in manifest.files):
        return None
    sizes = Sizes(
        known.flash_bytes, manifest.weight_bytes, known.ram_bytes, known.stack_reserved_bytes, manifest.arena_bytes,
        _buffer_bytes(manifest) if board.memory else 0, known.stack_static_bytes,
    )  # fmt: skip
    return Firmware(elf, folder.resolve(), board, manifest, sizes)


def check_fit(manifest: Manifest, board: Board) -> None:
    """Refuse, before anything is compiled, a model whose weights or buffers alone exceed the board.

    Raises FitError with a table of what it needs and what there is.
    """
    if board.memory is not None:
        ram = manifest.arena_bytes + manifest.input_bytes + manifest.output_bytes + board.memory.stack_bytes
        _check(board, manifest.weight_bytes, ram, manifest, None)


def compile_command(
    target: Target, source: Path, obj: Path, flags: Sequence[str] = (), compiler: str = "gcc"
) -> list[str | Path]:
    """The command that compiles one file for a target with "gcc" or "clang". Raises ToolError without it."""
    if compiler == "gcc":
        program, core = target.gcc.program, list(target.gcc.flags)
    else:
        program, core = target.clang.program, [*target.clang.flags, *_library_headers(target)]
    return [tools.find(program), *core, *FLAGS, *flags, "-c", source, "-o", obj]


def _library_headers(target: Target) -> list[str]:
    """Where Clang finds the C library's headers on bare metal: with those of GCC, which tells its dependencies."""
    if target.system != "bare-metal":
        return []
    command: list[str | Path] = [tools.find(target.gcc.program), "-M", "-include", "string.h", "-x", "c", os.devnull]
    found = (Path(word) for word in tools.call(command, timeout=30).output.split())
    return next((["-isystem", str(path.parent)] for path in found if path.name == "string.h"), [])


def glue(manifest: Manifest) -> str:
    """itg_app.h: buffers for one inference and the model's names, for runtime_c/port/app.c."""
    lines = [f'#include "{manifest.model}.h"', ""]
    names: list[str] = []
    for kind, ports in (("input", manifest.inputs), ("output", manifest.outputs)):
        for i, port in enumerate(ports):
            # The union aligns the buffer for word access, as a caller's buffer may well be.
            lines.append(f"static union {{ {port.ctype} data[{port.elements}]; uint32_t word; }} {kind}_{i};")
            names.append(f"{kind}_{i}.data")
        rows = ", ".join(f"{{{kind}_{i}.data, {port.nbytes}u}}" for i, port in enumerate(ports))
        lines.append(f"static const itg_app_buffer itg_app_{kind}s[] = {{{rows}}};")
    lines.append(f"#define ITG_APP_RUN() {manifest.model}_run({', '.join(names)})")
    reset = f"{manifest.model}_reset()" if manifest.state_bytes else "((void)0)"
    lines.append(f"#define ITG_APP_RESET() {reset}")
    if manifest.arena_bytes:
        lines.append(f"#define ITG_APP_ARENA {manifest.model}_arena.bytes")
    return "\n".join(lines) + "\n"


def symbols(elf: Path) -> dict[str, tuple[int, int]]:
    """Address (a Thumb function's without its low bit) and size of every symbol that is defined in an ELF file.

    Raises BuildError when the file is not an ELF file.
    """
    found: dict[str, tuple[int, int]] = {}
    try:
        with elf.open("rb") as stream:
            file = ELFFile(stream)
            thumb = file["e_machine"] == "EM_ARM"
            for section in file.iter_sections():
                if not isinstance(section, SymbolTableSection):
                    continue
                for symbol in section.iter_symbols():
                    if symbol.name and symbol["st_shndx"] != "SHN_UNDEF":
                        function = thumb and symbol["st_info"]["type"] == "STT_FUNC"
                        found[symbol.name] = (symbol["st_value"] & ~int(function), symbol["st_size"])
    except (OSError, ELFError) as error:
        raise BuildError(str(elf), f"cannot be read as an ELF file ({error})") from error
    return found


_PORT = {
    "bare-metal": ("app.c", "mark.c", "semihost.c", "startup.c"),
    "linux": ("app.c", "mark.c", "posix.c"),
    "host": ("app.c", "mark.c", "posix.c"),
}


def _compile_all(target: Target, sources: Sequence[Path], out: Path, flags: Sequence[str]) -> list[Path]:
    out.mkdir()
    objects = [out / f"{i}-{source.stem}.o" for i, source in enumerate(sources)]
    stop = threading.Event()
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        jobs = [pool.submit(_compile, target, s, o, flags, stop) for s, o in zip(sources, objects, strict=True)]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            # The first error, or Ctrl-C: leaving the block waits for the compilers, so they are ended.
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return objects


def _compile(target: Target, source: Path, obj: Path, flags: Sequence[str], stop: threading.Event) -> None:
    outcome = tools.call(compile_command(target, source, obj, flags), timeout=_COMPILE_SECONDS, stop=stop)
    if outcome.code != 0 and target.gcc.fallback_flags:
        command = compile_command(target, source, obj, [*flags, *target.gcc.fallback_flags])
        outcome = tools.call(command, timeout=_COMPILE_SECONDS, stop=stop)
    if outcome.code != 0:
        raise _refused(f"{source.name} ({target.gcc.program})", "does not compile", outcome)


def _link(
    target: Target, memory: Memory | None, objects: Sequence[Path], work: Path, elf: Path, cflags: Sequence[str]
) -> None:
    flags: list[str] = ["-Wl,--gc-sections"]
    if memory is not None:
        script = work / "link.ld"
        script.write_text(_linker_script(memory), "utf-8")
        flags += ["-T", str(script)]
    core = (*target.gcc.flags, *cflags, *target.gcc.link_flags)
    command: list[str | Path] = [tools.find(target.gcc.program), *core, *flags, *objects, "-lm", "-o", elf]
    outcome = tools.call(command, timeout=_COMPILE_SECONDS)
    if outcome.code != 0:
        raise _refused(f"linking with {target.gcc.program}", "failed", outcome)


def _linker_script(memory: Memory) -> str:
    """The skeleton with the board's addresses. Regions get all the room up to the next one: see cortex_m.ld."""
    text = (assets.root() / "runtime_c" / "port" / "cortex_m.ld").read_text("utf-8")
    end = 1 << 32
    flash, ram = memory.flash_origin, memory.ram_origin
    values = {
        "FLASH_ORIGIN": flash,
        "FLASH_ROOM": (ram if flash < ram else end) - flash,
        "RAM_ORIGIN": ram,
        "RAM_ROOM": (flash if ram < flash else end) - ram,
        "STACK_BYTES": memory.stack_bytes,
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", f"{value:#x}")
    return text


def _refused(where: str, found: str, outcome: tools.Outcome) -> BuildError:
    lines = [line for line in outcome.output.splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() or "undefined reference" in line] or lines
    what = "took too long" if outcome.code is None else found
    if outcome.code is not None and tools.temporary_space() < _ROOM:
        remedy = "Make room there, or let TMPDIR name another folder"
        full = f"{found}: the folder for temporary files, {tempfile.gettempdir()}, is full"
        return BuildError(where, full, "", remedy)
    return BuildError(where, what + "".join(f"\n  {line}" for line in telling[:5]))


def _refuse_heap(elf: Path, manifest: Manifest) -> None:
    heap = sorted(HEAP & symbols(elf).keys())
    if heap:
        raise BuildError(f"firmware of {manifest.model}", f"contains a heap: {', '.join(heap)}", "no heap symbol")


def _image_sizes(elf: Path, manifest: Manifest, memory: Memory) -> Sizes:
    flash = ram = 0
    with elf.open("rb") as stream:
        for section in ELFFile(stream).iter_sections():
            if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC:
                continue
            if section["sh_type"] != "SHT_NOBITS":
                flash += section["sh_size"]
            if section["sh_flags"] & SH_FLAGS.SHF_WRITE and section.name != ".stack":
                ram += section["sh_size"]
    arena = _arena_bytes(elf, manifest)
    return Sizes(flash, manifest.weight_bytes, ram, memory.stack_bytes, arena, _buffer_bytes(manifest))


def _buffer_bytes(manifest: Manifest) -> int:
    """Of the application's buffers, each of them a union with a word: see `glue`."""
    return sum(-(-port.nbytes // 4) * 4 for port in (*manifest.inputs, *manifest.outputs))


def _object_sizes(objects: Sequence[Path], elf: Path, manifest: Manifest) -> Sizes:
    flash = ram = 0
    for obj in objects:
        with obj.open("rb") as stream:
            for section in ELFFile(stream).iter_sections():
                # Unwind tables are the ABI's, not the model's.
                if not section["sh_flags"] & SH_FLAGS.SHF_ALLOC or section.name.startswith((".eh_frame", ".note")):
                    continue
                flash += section["sh_size"] if section["sh_type"] != "SHT_NOBITS" else 0
                ram += section["sh_size"] if section["sh_flags"] & SH_FLAGS.SHF_WRITE else 0
    return Sizes(flash, manifest.weight_bytes, ram, 0, _arena_bytes(elf, manifest), 0)


def _arena_bytes(elf: Path, manifest: Manifest) -> int:
    if not manifest.arena_bytes:
        return 0
    size = symbols(elf).get(f"{manifest.model}_arena", (0, 0))[1]
    if not manifest.arena_bytes <= size < manifest.arena_bytes + 4:  # the union's last word is a whole one
        found = f"{manifest.model}_arena has {size} bytes"
        raise BuildError(f"firmware of {manifest.model}", found, f"{manifest.arena_bytes}, as intaglio.json says")
    return manifest.arena_bytes


def _check(board: Board, flash: int, ram: int, manifest: Manifest, sizes: Sizes | None) -> None:
    """`flash` and `ram` with the stack, in bytes, exact when `sizes` are those of the linked image."""
    memory = board.memory
    if memory is None or (flash <= memory.flash_bytes and ram <= memory.ram_bytes):
        return
    at_least = "" if sizes else "at least "
    rest = ram - manifest.arena_bytes - manifest.input_bytes - manifest.output_bytes - memory.stack_bytes
    rows: list[tuple[str, str, str]] = [
        ("", "needs", "has"),
        ("flash", f"{at_least}{flash:,}", f"{memory.flash_bytes:,}"),
        ("  weights and biases", f"{manifest.weight_bytes:,}", ""),
        *([("  code and tables", f"{sizes.flash_code_bytes:,}", "")] if sizes else []),
        ("RAM", f"{at_least}{ram:,}", f"{memory.ram_bytes:,}"),
        ("  arena", f"{manifest.arena_bytes:,}", ""),
        *([("    of which state", f"{manifest.state_bytes:,}", "")] if manifest.state_bytes else []),
        ("  input and output buffers", f"{manifest.input_bytes + manifest.output_bytes:,}", ""),
        ("  stack reserve", f"{memory.stack_bytes:,}", ""),
        *([("  other variables", f"{rest:,}", "")] if sizes else []),
    ]
    table = "\n".join(f"  {name:<28}{needs:>20}{has:>14}".rstrip() for name, needs, has in rows)
    if manifest.peak and ram > memory.ram_bytes:
        table += f"\n  The arena is fullest at {manifest.peak}"
    which = " or ".join(
        name for name, over in (("flash", flash > memory.flash_bytes), ("RAM", ram > memory.ram_bytes)) if over
    )
    found = f"{manifest.model} does not fit in {which} (bytes):\n{table}"
    raise FitError(f"board {board.name}", found, "", "Take a board with more memory, or a smaller model")


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
