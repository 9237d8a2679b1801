"""The memory of a bare-metal board: regions, and what goes into each. The [memory] table of board.toml.

Two forms are read. Most boards have one flash and one RAM: `flash_origin`, `flash_bytes`, `ram_origin`, `ram_bytes`.
A board with more of them (tightly coupled memory, external flash) lists `[[memory.regions]]`. Both become a `Memory`.
"""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, StrictInt, model_validator

from .targets import DataModel

_ADDRESS_SPACE = 1 << 32
_VECTOR_TABLE_ALIGNMENT = 128

Content = Literal["code", "weights", "data", "arena", "stack"]
"""`code`: with the vector table, tables of the kernels, and the initial values of variables. `weights`: the constants
of the model. `data`: variables, with the buffers of inputs and outputs."""
CONTENTS: tuple[Content, ...] = get_args(Content)
KINDS: dict[Content, Literal["flash", "ram"]] = {
    "code": "flash", "weights": "flash", "data": "ram", "arena": "ram", "stack": "ram",
}  # fmt: skip


class Region(DataModel):
    """One memory. Addresses and sizes in bytes."""

    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,31}$")
    """For people and for the linker."""
    kind: Literal["flash", "ram"]
    """flash: written when the board is programmed, read when it runs. ram: written when it runs."""
    origin: StrictInt = Field(ge=0, lt=_ADDRESS_SPACE)
    """Lowest address: a multiple of 8; of 128 where code is, for the core finds its vector table there."""
    bytes: StrictInt = Field(gt=0, le=_ADDRESS_SPACE)
    """Bytes from there that firmware may use."""
    holds: tuple[Content, ...] = ()
    """What goes there; each of `code`, `weights`, `data`, `arena`, `stack` goes to one region."""

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.origin + self.bytes

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.end > _ADDRESS_SPACE:
            raise ValueError(f"{self.name} ends at {self.end:#x}, beyond the 32-bit address space")
        needed = _VECTOR_TABLE_ALIGNMENT if "code" in self.holds else 8
        if self.origin % needed:
            raise ValueError(f"{self.name} begins at {self.origin:#x}; a multiple of {needed} is needed")
        for content in self.holds:
            if KINDS[content] != self.kind:
                raise ValueError(
                    f"{self.name} is {self.kind} and cannot hold {content}, which goes to {KINDS[content]}"
                )
        return self


class Memory(DataModel):
    """The memory map of a bare-metal board."""

    regions: tuple[Region, ...] = Field(min_length=1)
    stack_bytes: StrictInt = Field(default=4096, ge=256)
    """Bytes reserved for the stack, at the bottom of its region; a multiple of 8. Default 4096."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for i, region in enumerate(self.regions):
            for other in self.regions[:i]:
                if region.name == other.name:
                    raise ValueError(f"two regions are called {region.name}")
                if region.origin < other.end and other.origin < region.end:
                    raise ValueError(f"{_span(other)} and {_span(region)} overlap")
        for content in CONTENTS:
            homes = [region.name for region in self.regions if content in region.holds]
            if len(homes) != 1:
                found = f"{', '.join(homes)} hold" if homes else "no region holds"
                raise ValueError(f"{found} {content}; one region of kind {KINDS[content]} has to")
        if self.stack_bytes % 8:
            raise ValueError("stack_bytes must be a multiple of 8")
        room = self.of("stack").bytes
        if self.stack_bytes >= room:
            raise ValueError(f"a stack of {self.stack_bytes} bytes leaves nothing of {room} bytes of RAM")
        return self

    def of(self, content: Content) -> Region:
        """The region that holds something."""
        return next(region for region in self.regions if content in region.holds)

    def room(self, region: Region) -> int:
        """Bytes from a region's origin to the next region, or to the end of all addresses."""
        return min([r.origin for r in self.regions if r.origin > region.origin], default=_ADDRESS_SPACE) - region.origin

    def at(self, address: int) -> Region:
        """The region that an address is in, or runs over from."""
        return max((r for r in self.regions if r.origin <= address), key=lambda r: r.origin, default=self.regions[0])

    def total(self, kind: Literal["flash", "ram"]) -> int:
        """Bytes of all regions of a kind."""
        return sum(region.bytes for region in self.regions if region.kind == kind)


class FlashAndRam(DataModel):
    """The short form: one flash and one RAM."""

    flash_origin: StrictInt = Field(ge=0, lt=_ADDRESS_SPACE)
    """Lowest address of code and constants, where the core finds its vector table; a multiple of 128."""
    flash_bytes: StrictInt = Field(gt=0, le=_ADDRESS_SPACE)
    """Bytes from there that firmware may fill."""
    ram_origin: StrictInt = Field(ge=0, lt=_ADDRESS_SPACE)
    """Lowest address of variables and stack; a multiple of 8."""
    ram_bytes: StrictInt = Field(gt=0, le=_ADDRESS_SPACE)
    """Bytes from there that firmware may use."""
    stack_bytes: StrictInt = Field(default=4096, ge=256)
    """Bytes of RAM reserved for the stack, at the bottom of RAM; a multiple of 8. Default 4096."""

    def memory(self) -> Memory:
        """The same as regions. Raises ValidationError for an impossible map."""
        flash = Region(
            name="flash", kind="flash", origin=self.flash_origin, bytes=self.flash_bytes, holds=("code", "weights")
        )
        ram = Region(
            name="RAM", kind="ram", origin=self.ram_origin, bytes=self.ram_bytes, holds=("stack", "data", "arena")
        )
        return Memory(regions=(flash, ram), stack_bytes=self.stack_bytes)


def _span(region: Region) -> str:
    return f"{region.name} ({region.origin:#x}..{region.end:#x})"
