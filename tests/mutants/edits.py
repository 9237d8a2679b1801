"""Edits of a parsed structure: a tree of dicts, lists, objects with attributes, and leaves.

A walk from the root, a random child at a time, says where: so the few fields of a header come as often as the many of a
long list. What stands there becomes another value of its type, something found elsewhere in the tree, or is removed or
doubled.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

INTEGERS = (
    -(2**63), -(2**31), -1000, -129, -128, -7, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 25, 31, 64, 100, 127,
    128, 255, 256, 1000, 4096, 65535, 65536, 2**24, 2**28, 2**31 - 1, 2**31, 2**33, 2**62, 2**63 - 1,
)  # fmt: skip
FLOATS = (
    0.0, -0.0, 1.0, -1.0, 0.5, 0.07, 1 / 256, 3.0, 127.5, 1e-45, 1e-38, 1e-12, 1e6, 1e38, 3.4028235e38, 1e300,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
STRINGS = (
    "", "x", "y", "a b", "a*/b", "a*\\b", "??/", "\\", "\0", "é\u202e", "n" * 300, "../x", "/etc/passwd", "-1", "none",
    "int8", "float32", "relu", "\x1b[2J", "<script>", "state:past", "int", "%s%n",
)  # fmt: skip
STRANGE = (None, True, False, [], {}, "", "x", -1, 0, 1, 2**63, 1.5, [[]], [0], {"x": 1})
"""What has another type than what was there."""


def pick(rng: np.random.Generator, values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def number(rng: np.random.Generator, old: int) -> int:
    """Another integer: near the old one, or one of those that break things."""
    kind = rng.random()
    if kind < 0.3:
        return old + pick(rng, (-2, -1, 1, 2))
    if kind < 0.4:
        return pick(rng, (-old, 2 * old, old // 2))
    return int(rng.integers(0, 40)) if kind < 0.6 else pick(rng, INTEGERS)


def another(rng: np.random.Generator, old: Any) -> Any:
    """A value of the type of `old`."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int | np.integer):
        return number(rng, int(old))
    if isinstance(old, float | np.floating):
        return float(old) * pick(rng, (0.5, 2.0, -1.0, 1e-6, 1e6)) if rng.random() < 0.5 else pick(rng, FLOATS)
    if isinstance(old, bytes):
        return pick(rng, STRINGS).encode("utf-8")
    if isinstance(old, str):
        return pick(rng, STRINGS)
    if isinstance(old, np.ndarray):
        return array(rng, old)
    return pick(rng, STRANGE)


def array(rng: np.random.Generator, old: np.ndarray) -> np.ndarray:
    """Some elements changed, or the end cut off or doubled."""
    new = np.array(old).ravel()
    kind = rng.random()
    if not new.size:
        return np.zeros(pick(rng, (1, 4, 8)), new.dtype)
    if kind < 0.25:
        return new[: int(rng.integers(0, new.size + 1))]
    if kind < 0.35:
        return np.concatenate([new, new[: int(rng.integers(1, new.size + 1))]])
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(new.size))
        if new.dtype.kind == "f":
            new[at] = pick(rng, FLOATS)
        elif new.dtype == np.uint8 and new.size % 4 == 0 and kind < 0.7:
            new.view(np.uint32)[at // 4] = pick(rng, INTEGERS) & 0xFFFFFFFF  # bytes that may be int32 numbers
        else:
            new[at] = int(rng.integers(np.iinfo(new.dtype).min, np.iinfo(new.dtype).max, endpoint=True))
    return new


def children(value: Any) -> list[Any]:
    """Keys, indices or attributes of what lies below a value."""
    if isinstance(value, dict):
        return list(value)
    if isinstance(value, list):
        return list(range(len(value)))
    return list(vars(value)) if hasattr(value, "__dict__") else []


def get(owner: Any, key: Any) -> Any:
    return owner[key] if isinstance(owner, dict | list) else getattr(owner, key)


def put(owner: Any, key: Any, value: Any) -> None:
    if isinstance(owner, dict | list):
        owner[key] = value
    else:
        setattr(owner, key, value)


def walk(rng: np.random.Generator, root: Any, stop: float = 0.12) -> tuple[Any, Any] | None:
    """A random place: what holds it, and its key there; mostly a leaf."""
    owner, found = root, None
    while keys := children(owner):
        key = pick(rng, keys)
        found = (owner, key)
        if rng.random() < stop:
            break
        owner = get(owner, key)
    return found


def alike(rng: np.random.Generator, root: Any, old: Any) -> Any:
    """A copy of something of the type of `old` from elsewhere in the tree; `old` itself where none turns up."""
    for _ in range(12):
        place = walk(rng, root, 0.3)
        if place is not None and type(get(*place)) is type(old):
            return copy.deepcopy(get(*place))
    return old


def edit(rng: np.random.Generator, root: Any, strange: float = 0.0) -> None:
    """Change one place of the tree; with the chance `strange` to a value of another type."""
    place = walk(rng, root)
    if place is None:
        return
    owner, key = place
    old = get(owner, key)
    kind = rng.random()
    if kind < strange:
        put(owner, key, copy.deepcopy(pick(rng, STRANGE)))
    elif isinstance(old, list) and kind < 0.6:
        items(rng, old)
    elif isinstance(old, dict) and kind < 0.5 and old:
        del old[pick(rng, list(old))]
    elif kind < 0.4 or (old is None) or isinstance(old, list | dict) or hasattr(old, "__dict__"):
        put(owner, key, alike(rng, root, old))
    else:
        put(owner, key, another(rng, old))
    if isinstance(owner, list) and rng.random() < 0.15:
        items(rng, owner)


def items(rng: np.random.Generator, values: list[Any]) -> None:
    """Remove, double, add, exchange or turn around what a list holds."""
    kind = int(rng.integers(6))
    if not values:
        values.append(int(rng.integers(0, 8)))
    elif kind == 0:
        del values[int(rng.integers(len(values)))]
    elif kind == 1:
        values.insert(int(rng.integers(len(values) + 1)), copy.deepcopy(pick(rng, values)))
    elif kind == 2:
        i, k = (int(rng.integers(len(values))) for _ in range(2))
        values[i], values[k] = values[k], values[i]
    elif kind == 3:
        del values[int(rng.integers(len(values) + 1)) :]
    elif kind == 4:
        values.reverse()
    else:
        values[int(rng.integers(len(values)))] = another(rng, pick(rng, values))


def times(rng: np.random.Generator) -> int:
    """How many edits a mutant gets: mostly one, so that it stays a model but for one thing."""
    return int(rng.choice([1, 2, 3, 4], p=[0.55, 0.25, 0.1, 0.1]))


WORDS = (-(2**31), 2**31 - 1, -1, 0, 1, 65536, 2**24)


def raw(data: bytes, places: np.ndarray, rng: np.random.Generator) -> bytes:
    """Edits at some of `places`, whatever is there: flipped bits, other bytes, words set to extremes or to small
    numbers; now and then bytes inserted or removed, or the end cut off."""
    out = bytearray(data)
    for _ in range(times(rng)):
        at = min(int(rng.choice(places)), len(out))
        kind = rng.random()
        if kind < 0.25:
            out[at : at + 1] = bytes(b ^ (1 << int(rng.integers(0, 8))) for b in out[at : at + 1])
        elif kind < 0.45:
            out[at : at + 1] = rng.bytes(1)
        elif kind < 0.65:
            out[at & ~3 : (at & ~3) + 4] = int(rng.choice(WORDS)).to_bytes(4, "little", signed=True)
        elif kind < 0.9:
            out[at & ~3 : (at & ~3) + 4] = int(rng.integers(-16, 64)).to_bytes(4, "little", signed=True)
        elif kind < 0.94:
            out[at:at] = rng.bytes(int(rng.integers(1, 9)))
        elif kind < 0.98:
            del out[at : at + int(rng.integers(1, 9))]
        else:
            del out[int(rng.integers(0, len(out) + 1)) :]
    return bytes(out)


def archive(data: bytes, rng: np.random.Generator, change: Any, compress: bool) -> bytes:
    """A zip file written anew with `change(name, bytes)` in place of each member: None leaves it out. Some are renamed,
    doubled, or compressed in another way."""
    import io
    import warnings
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of doubled names
        for info in old.infolist():
            body = change(info.filename, old.read(info))
            if body is None:
                continue
            name = pick(rng, (info.filename + "x", "/", "../x.npy", "a\\b")) if rng.random() < 0.02 else info.filename
            method = pick(rng, (0, 0, 8, 8, 12, 14)) if compress else 0
            for _ in range(2 if rng.random() < 0.02 else 1):
                new.writestr(name, body, method)
    return out.getvalue()
