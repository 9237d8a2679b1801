"""A state dict (torch.save) and the class of its module -> Graph.

The file is only ever unpickled by torch.load(weights_only=True), which makes tensors and nothing else. The module is
code of the user's own, named on the command line.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import DataError, ModelError
from ..graph import Graph
from . import torch as frontend
from .reading import model_bytes
from .torch_pt2 import MAX_BYTES, MAX_ELEMENTS

KIND = "a state dict: torch.save(model.state_dict(), F)"
NESTED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict in a larger checkpoint."""
_REMEDY = "Save the state dict alone, or use torch.export.save, whose .pt2 needs no class"


def load(path: Path | str, module: str, example: str) -> Graph:
    """Read a .pt or .pth file.

    Args:
        module: `package.module:Class`, or any function there that makes the module without arguments.
        example: the shapes of the inputs, batch first, `1,3,32,32`; several are separated by semicolons.

    Returns: a float Graph; see frontends/torch.py.
    Raises: ModelError for a file that holds more than tensors, or other ones than the module has; DataError for a
        module or shapes that make no sense; UnsupportedError, and ToolError without PyTorch.
    """
    from .tflite import identifier

    path = Path(path)
    torch = frontend.torch_package()
    data = model_bytes(path, MAX_BYTES, KIND)
    examples = tuple(torch.zeros(shape) for shape in _shapes(example))
    made = _made(torch, module)
    state = _state(torch, data, str(path))
    try:
        made.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as e:
        found = f"does not fit {module}: {' '.join(str(e).split())[:300]}"
        raise ModelError(str(path), found, "the tensors of that module's state dict") from e
    return frontend.load(made, examples, identifier(path.stem))


def _shapes(example: str) -> list[tuple[int, ...]]:
    try:
        found = [tuple(int(n) for n in one.split(",")) for one in example.split(";")]
    except ValueError:
        found = []
    if not found or any(n < 1 for shape in found for n in shape):
        raise DataError("--example", f"is {example[:80]!r}", "a shape with the batch first, such as 1,3,32,32")
    if any(math.prod(shape) > MAX_ELEMENTS for shape in found):
        raise DataError("--example", f"is {example[:80]!r}", f"{MAX_ELEMENTS:,} elements at most")
    return found


def _made(torch: Any, module: str) -> Any:
    """The user's module, with the weights that it is born with."""
    allowed = "package.module:Class, where Class() makes an nn.Module"
    name, _, attribute = module.partition(":")
    if not name or not attribute:
        raise DataError("--module", f"is {module[:80]!r}", allowed)
    with _here():
        try:
            found = getattr(importlib.import_module(name), attribute)()
        except (Exception, SystemExit) as e:  # whatever the user's code raises; a script may end the program
            raise DataError("--module", f"{module}: {type(e).__name__}: {e}", allowed) from e
    if not isinstance(found, torch.nn.Module):
        raise DataError("--module", f"{module} makes a {type(found).__name__}", allowed)
    return found


@contextlib.contextmanager
def _here() -> Iterator[None]:
    """Modules of the current folder can be imported, as when Python runs a script there."""
    sys.path.insert(0, os.getcwd())
    try:
        yield
    finally:
        sys.path.pop(0)


def _state(torch: Any, data: bytes, where: str) -> dict[str, Any]:
    # The format before torch 1.6 states sizes that nothing checks before memory is asked for.
    if not zipfile.is_zipfile(io.BytesIO(data)):
        raise ModelError(where, "is no zip archive, as torch.save has written them since 1.6", KIND, _REMEDY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch.load warns of, it raises as well
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as e:  # torch.load raises whatever damaged content makes of it
        # Without the colours that PyTorch puts into its messages.
        text = re.sub(r"\x1b\[[0-9;]*m", "", str(e)).strip()
        reason = text.splitlines()[0][:160] if text else type(e).__name__
        found_there = f"holds more than tensors, or is damaged, and is not unpickled ({type(e).__name__}: {reason})"
        raise ModelError(where, found_there, KIND, _REMEDY) from e
    for key in NESTED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise ModelError(where, f"holds a {type(found).__name__} of other things than tensors", KIND, _REMEDY)
    return found
