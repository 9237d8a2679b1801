"""Counting instructions: the TCG plugin (runtime_c/qemu/count.c), its arguments and its figures."""

from __future__ import annotations

import hashlib
import platform
import tempfile
from pathlib import Path

from .. import assets, files, tools
from ..build import Firmware
from ..errors import BuildError, OutputError, RunError
from ..firmware.elf import symbols
from .lines import layer_of

_API_CHANGED_IN = 9
"""From this QEMU on, plugins must declare API version 2 or newer."""


def plugin(qemu: str = "qemu-system-arm", timeout: float = 120.0) -> Path:
    """The compiled plugin for the QEMU that is installed; compiled with the host's gcc when it is not there yet.
    `timeout`: seconds for QEMU to tell its version, and for gcc.

    It is kept in $XDG_CACHE_HOME/intaglio or ~/.cache/intaglio. Raises ToolError without gcc or QEMU, BuildError
    when gcc refuses it, OutputError when the cache cannot be written.
    """
    source = assets.root() / "runtime_c" / "qemu" / "count.c"
    version = 1 if tools.major_version(qemu, timeout) < _API_CHANGED_IN else 2
    flags = ["-std=c99", "-O2", "-shared", "-fPIC", f"-DITG_PLUGIN_VERSION={version}"]
    key = hashlib.sha256("\0".join([platform.machine(), *flags]).encode() + source.read_bytes()).hexdigest()[:16]
    cache = files.cache_folder()
    path = cache / f"qemu_count-{key}.so"
    if path.is_file():
        return path
    gcc = tools.find("gcc")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as work:
            built = Path(work) / path.name
            outcome = tools.call([gcc, *flags, source, "-o", built], timeout=min(timeout, 120.0))
            if outcome.code != 0:
                raise BuildError(source.name, f"does not compile with gcc:\n  {outcome.tail(3)}")
            built.replace(path)
    except OSError as error:
        remedy = "Point XDG_CACHE_HOME to a folder that can be written"
        raise OutputError(str(cache), f"cannot be written ({error.strerror})", "", remedy) from error
    return path


def arguments(firmware: Firmware, qemu: str, out: Path, timeout: float = 120.0) -> list[str]:
    """The arguments that make `qemu` count `firmware`'s inferences into the file `out`. Raises as `plugin` does."""
    table = symbols(firmware.elf)
    run, size = table[f"{firmware.manifest.model}_run"]
    values = {
        "begin": f"{table['itg_mark_begin'][0]:#x}",
        "end": f"{table['itg_mark_end'][0]:#x}",
        "run_lo": f"{run:#x}",
        "run_hi": f"{run + size:#x}",
        "out": str(out),
    }
    # QEMU separates options by commas; one within a value is written twice.
    parts = [str(plugin(qemu, timeout)), *(f"{key}={value}" for key, value in values.items())]
    return ["-plugin", ",".join(part.replace(",", ",,") for part in parts)]


def read(firmware: Firmware, path: Path, n: int) -> tuple[list[int], dict[int, int]]:
    """Instructions of each of `n` inferences, and of each layer of the second (or only) one.

    Raises RunError when the plugin counted another number of inferences.
    """
    totals: list[int] = []
    buckets: dict[int, dict[int, int]] = {}
    for line in path.read_text("utf-8").splitlines() if path.is_file() else ():
        kind, number, *rest = line.split()
        if kind == "inference":
            totals.append(int(rest[0]))
        elif rest[0] != "other":
            buckets.setdefault(int(number), {})[int(rest[0], 16)] = int(rest[1])
    if len(totals) != n:
        found = f"the plugin counted {len(totals)} inferences"
        raise RunError(f"{firmware.manifest.model} on {firmware.board.name}", found, str(n))
    counted = buckets.get(min(2, n), {})
    layers = {index: 0 for index, layer in enumerate(firmware.manifest.layers) if layer.line is not None}
    for address, layer in layer_of(firmware.elf, firmware.manifest, counted).items():
        if layer is not None:
            layers[layer] += counted[address]
    return totals, layers
