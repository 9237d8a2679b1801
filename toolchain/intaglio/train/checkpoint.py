"""Checkpoints of a training run: one file, written whole, read without unpickling."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import TrainingError
from ..files import write_file
from ..floats.run import torch_module

VERSION = 1
KEYS = frozenset(("settings", "module", "optimizer", "epochs", "best"))
_REMEDY = "Remove the file to start again, or name another"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state after an epoch. `best` is a state_dict, or None where the best epoch is not kept."""

    module: Any
    optimizer: Any
    settings: Mapping[str, Any]
    epochs: Sequence[Mapping[str, Any]]
    best: Mapping[str, Any] | None


def save(path: Path, checkpoint: Checkpoint) -> None:
    """Raises OutputError when the file cannot be written; one that is there stays whole then."""
    torch = torch_module()
    stream = io.BytesIO()
    torch.save(
        {
            "version": VERSION,
            "settings": dict(checkpoint.settings),
            "module": checkpoint.module.state_dict(),
            "optimizer": checkpoint.optimizer.state_dict(),
            "epochs": [dict(e) for e in checkpoint.epochs],
            "best": None if checkpoint.best is None else dict(checkpoint.best),
        },
        stream,
    )
    write_file(path, stream.getvalue())


def load(path: Path, module: Any, optimizer: Any, settings: Mapping[str, Any]) -> Checkpoint | None:
    """Put a checkpoint's state into `module` and `optimizer`; None when there is no file.

    Raises: TrainingError for a file that is no checkpoint, or one of a run with other settings or another module.
    """
    torch = torch_module()
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, struct.error, pickle.UnpicklingError) as error:
        raise TrainingError(
            str(path), "cannot be read as a checkpoint", "a file that training wrote", _REMEDY
        ) from error
    if not isinstance(found, dict) or found.get("version") != VERSION or not found.keys() >= KEYS:
        raise TrainingError(str(path), "is no checkpoint of this version", f"version {VERSION}", _REMEDY)
    others = [k for k in {*settings, *found["settings"]} if settings.get(k) != found["settings"].get(k)]
    if others:
        key = min(others)
        raise TrainingError(
            str(path),
            f"belongs to a run with {key} = {found['settings'].get(key)!r}",
            f"{settings.get(key)!r}",
            _REMEDY,
        )
    try:
        module.load_state_dict(found["module"])
        optimizer.load_state_dict(found["optimizer"])
    except (RuntimeError, ValueError, KeyError) as error:
        raise TrainingError(str(path), "belongs to another module", "the one that was trained", _REMEDY) from error
    return Checkpoint(module, optimizer, found["settings"], found["epochs"], found["best"])
