"""What is in a linked program: symbols, sizes, and no heap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import Section, SymbolTableSection

from ..errors import BuildError
from ..manifest import Manifest
from ..regions import Memory

HEAP = frozenset(
    prefix + name + suffix
    for name in ("malloc", "calloc", "realloc", "free", "sbrk")
    for prefix, suffix in (("", ""), ("_", ""), ("_", "_r"))
)
"""Symbols that show that a firmware has a heap."""


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
    regions: tuple[tuple[str, int], ...] = ()
    """On bare metal: what each region of the board's memory holds, the stack included; by name."""
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


def refuse_heap(elf: Path, manifest: Manifest) -> None:
    """Raises BuildError for firmware with a heap."""
    heap = sorted(HEAP & symbols(elf).keys())
    if heap:
        raise BuildError(f"firmware of {manifest.model}", f"contains a heap: {', '.join(heap)}", "no heap symbol")


def image_sizes(elf: Path, manifest: Manifest, memory: Memory) -> Sizes:
    """Of a linked image for bare metal. Raises BuildError for an arena of another size than the manifest's."""
    flash = ram = 0
    for section in _loaded(elf):
        flash += section["sh_size"] if section["sh_type"] != "SHT_NOBITS" else 0
        ram += section["sh_size"] if section["sh_flags"] & SH_FLAGS.SHF_WRITE and section.name != ".stack" else 0
    return Sizes(
        flash, manifest.weight_bytes, ram, memory.stack_bytes, _arena_bytes(elf, manifest), buffer_bytes(manifest),
        region_bytes(elf, memory),
    )  # fmt: skip


def region_bytes(elf: Path, memory: Memory) -> tuple[tuple[str, int], ...]:
    """What each region holds, by name; initial values of variables count where they lie in flash as well."""
    held = {region.name: 0 for region in memory.regions}
    for section in _loaded(elf):
        held[memory.at(section["sh_addr"]).name] += section["sh_size"]
        if section["sh_flags"] & SH_FLAGS.SHF_WRITE and section["sh_type"] != "SHT_NOBITS":
            held[memory.of("code").name] += section["sh_size"]
    return tuple(held.items())


def _loaded(elf: Path) -> list[Section]:
    """The sections that take memory."""
    with elf.open("rb") as stream:
        return [s for s in ELFFile(stream).iter_sections() if s["sh_flags"] & SH_FLAGS.SHF_ALLOC]


def buffer_bytes(manifest: Manifest) -> int:
    """Of the application's buffers, each of them a union with a word: see glue.py."""
    return sum(-(-port.nbytes // 4) * 4 for port in (*manifest.inputs, *manifest.outputs))


def object_sizes(objects: Sequence[Path], elf: Path, manifest: Manifest) -> Sizes:
    """Of the model's and kernels' own objects in a program for an operating system."""
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
