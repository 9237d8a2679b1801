"""intaglio.json: what a folder of emitted C holds, for whoever builds, runs and measures it."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, ValidationError, model_validator

from .errors import BuildError
from .graph import DTYPES, DTypeName, Preference, Tensor

FILE = "intaglio.json"
C_TYPES: dict[str, str] = {
    "float32": "float", "int8": "int8_t", "uint8": "uint8_t", "int16": "int16_t", "int32": "int32_t",
    "int64": "int64_t", "uint16": "uint16_t", "uint32": "uint32_t",
}  # fmt: skip


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or pure.suffix != ".c":
        raise ValueError("a .c file inside the folder is needed")
    return path


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Port(_Frozen):
    """One input or output of the model."""

    name: str
    shape: tuple[Annotated[StrictInt, Field(ge=1)], ...]
    """Elements along each axis, the batch of 1 first."""
    dtype: DTypeName
    scale: float | None = None
    """real = scale * (q - zero_point); null when the tensor is not quantized."""
    zero_point: int | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of one inference's worth."""
        return self.elements * int(np.dtype(DTYPES[self.dtype]).itemsize)

    @property
    def ctype(self) -> str:
        return C_TYPES[self.dtype]


def port_of(t: Tensor) -> Port:
    """What intaglio.json says of an input or output."""
    per_tensor = t.quant is not None and t.quant.per_tensor
    return Port(
        name=t.name,
        shape=t.shape or (1,),
        dtype=t.dtype,
        scale=t.scale if per_tensor else None,
        zero_point=t.zero_point if per_tensor else None,
    )


class Layer(_Frozen):
    """One layer, in execution order."""

    name: str
    op: str
    macs: StrictInt = Field(ge=0)
    """Multiply-accumulates of one inference."""
    line: tuple[StrictInt, StrictInt] | None
    """First and last line of its call in <model>.c; null for a layer without code."""
    encoding: str = ""
    """How flash holds its weights (kernels/encodings); empty: as they are."""


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Built(_Frozen):
    """The firmware.elf that lies in the folder, and its sizes in bytes (build.Sizes)."""

    sha256: Sha256
    made_by: Sha256
    """Of what it was made with, besides the folder's own files: see build.made_by."""
    flash_bytes: StrictInt = Field(ge=0)
    ram_bytes: StrictInt = Field(ge=0)
    stack_reserved_bytes: StrictInt = Field(ge=0)
    stack_static_bytes: StrictInt | None = Field(ge=0)


class Manifest(_Frozen):
    """The whole of intaglio.json."""

    intaglio: Literal[1] = 1
    """Version of this format."""
    model: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The C prefix, also the stem of the C files."""
    board: str
    inputs: tuple[Port, ...] = Field(min_length=1)
    outputs: tuple[Port, ...] = Field(min_length=1)
    arena_bytes: StrictInt = Field(ge=0)
    """Bytes of the arena, state included."""
    weight_bytes: StrictInt = Field(ge=0)
    """Bytes of the model's constants in flash: weights and biases only."""
    state_bytes: StrictInt = Field(ge=0)
    """Bytes of the arena that keep their value between inferences; 0: there is no <model>_reset()."""
    peak: str = ""
    """Name of the layer at which the arena is fullest."""
    layers: tuple[Layer, ...]
    sources: tuple[Annotated[str, AfterValidator(_inside)], ...] = Field(min_length=1)
    """The .c files, relative to the folder."""
    lossless: bool = False
    """Whether channels were removed (compress/lossless.py): `layers` are then those of the C, not of the model."""
    weights: Preference = "dense"
    """How flash holds weights (select/weights.py)."""
    files: dict[str, Sha256] = {}
    """SHA-256 of everything else that was written. A file that is not among these, or has changed, is the user's."""
    firmware: Built | None = None
    """null where only the C was wanted."""
    sha256: str = ""
    """Of this file without this line; see `sealed`."""

    @model_validator(mode="after")
    def _lines(self) -> Self:
        for layer in self.layers:
            if layer.line is not None and not 1 <= layer.line[0] <= layer.line[1]:
                raise ValueError(f"layer {layer.name}: lines {layer.line[0]} to {layer.line[1]}")
        return self

    @property
    def input_bytes(self) -> int:
        """Bytes of all inputs of one inference."""
        return sum(port.nbytes for port in self.inputs)

    @property
    def output_bytes(self) -> int:
        """Bytes of all outputs of one inference."""
        return sum(port.nbytes for port in self.outputs)

    @staticmethod
    def read(folder: Path, complete: bool = True) -> Manifest:
        """Read folder/intaglio.json. Raises BuildError when it is missing or damaged, and, if the folder has to be
        `complete`, when a source is missing.
        """
        path = folder / FILE
        remedy = "Compile the model again: intaglio compile MODEL --board BOARD -o DIR"
        try:
            manifest = Manifest.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise BuildError(str(path), "does not exist", "a folder that intaglio compile wrote", remedy) from error
        except OSError as error:
            raise BuildError(str(path), f"cannot be read ({error.strerror})", "", remedy) from error
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            said = first["msg"].removeprefix("Value error, ")
            raise BuildError(f"{path}: {key}" if key else str(path), said, "", remedy) from error
        for source in manifest.sources if complete else ():
            if not (folder / source).is_file():
                raise BuildError(str(folder / source), "is listed in intaglio.json but does not exist", "", remedy)
        return manifest

    def foreign(self, folder: Path) -> list[str]:
        """What a folder holds that is not as this manifest says it was written, each with a word on why."""
        found = []
        folders = {str(parent) for name in self.files for parent in PurePosixPath(name).parents}
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if path.is_dir() and not path.is_symlink():
                if name not in folders:
                    found.append(f"{name}/ (added)")
            elif name == FILE:
                if path.is_symlink() or path.read_bytes() != self.sealed().to_json().encode():
                    found.append(f"{name} (changed)")
            elif name not in self.files:
                found.append(f"{name} (added)")
            elif not self.unchanged(folder, name):
                found.append(f"{name} (changed)")
        return found

    def unchanged(self, folder: Path, name: str) -> bool:
        """Whether a file of the folder is still what was written."""
        path = folder / name
        if path.is_symlink() or not path.is_file():
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == self.files.get(name)

    def sealed(self) -> Manifest:
        """With its own hash, so that a change made by hand is known."""
        blank = self.model_copy(update={"sha256": ""})
        return blank.model_copy(update={"sha256": hashlib.sha256(blank.to_json().encode()).hexdigest()})

    def to_json(self) -> str:
        """The text of intaglio.json, the same bytes each time; a layer has a line of its own."""

        def text(value: object) -> str:
            if isinstance(value, list) and value and isinstance(value[0], dict):
                return "[\n" + ",\n".join("  " + json.dumps(row) for row in value) + "\n ]"
            return json.dumps(value)

        items = (f" {json.dumps(key)}: {text(value)}" for key, value in self.model_dump(mode="json").items())
        return "{\n" + ",\n".join(items) + "\n}\n"
