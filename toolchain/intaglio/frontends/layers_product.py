"""Products with constants, as the PyTorch and the ONNX front end write them: what becomes a layer with weights."""

from __future__ import annotations

import math

from ..ops.base import Refuse
from .layers import linear
from .layout import Builder, Const, Value

ELLIPSIS = "..."
_SPARE = "ABCDEFGH"


def matmul(b: Builder, name: str, x: Value | Const, y: Value | Const) -> Value:
    """The matrix product of a computed value and a constant matrix, on either side, as numpy.matmul has it."""
    if isinstance(x, Value) and isinstance(y, Const):
        w = _matrix(y, "second")
        if len(x.shape) < 2 or x.shape[-1] != w.array.shape[0]:
            raise Refuse(f"its factors {x.shape} and {y.array.shape} do not fit each other")
        found = linear(b, name, x, w.permute(1, 0), None)
        return found if y.array.ndim > 1 else b.reshape(found, found.shape[:-1])
    if isinstance(x, Const) and isinstance(y, Value):
        w, rank = _matrix(x, "first"), len(y.shape)
        if rank < 3 or x.array.ndim < 2 or y.shape[-2] != w.array.shape[1]:
            raise Refuse(f"its factors {x.array.shape} and {y.shape} do not fit each other")
        swap = (*range(rank - 2), rank - 1, rank - 2)
        return b.permute(linear(b, name, b.permute(y, swap), w, None), swap)
    raise Refuse("both its factors are computed at run time; one constant matrix is supported")


def _matrix(c: Const, which: str) -> Const:
    shape = c.array.shape
    if len(shape) == 1:
        return Const(c.name, c.array.reshape(-1, 1), c.quant if c.quant is not None and c.quant.per_tensor else None)
    if len(shape) == 2:
        return c
    if len(shape) > 2 and math.prod(shape[:-2]) == 1:
        return Const(c.name, c.array.reshape(shape[-2:]), c.quant if c.quant is None or c.quant.per_tensor else None)
    raise Refuse(f"its {which} factor has the shape {shape}; a matrix is supported")


def einsum(b: Builder, name: str, equation: str, x: Value | Const, w: Value | Const) -> Value:
    """A product over some dimensions of a computed value and a constant, as numpy.einsum has it."""
    first, second, result = _terms(equation, x, w)
    if isinstance(x, Const) and isinstance(w, Value):
        x, w, first, second = w, x, second, first
    if not isinstance(x, Value) or not isinstance(w, Const):
        raise Refuse("it multiplies computed values with each other; one constant is supported")
    sizes = dict(zip(first, x.shape, strict=True))
    if any(sizes.get(k, n) != n for k, n in zip(second, w.array.shape, strict=True)):
        raise Refuse(f"{equation} does not fit the shapes {x.shape} and {w.array.shape}")
    sizes |= dict(zip(second, w.array.shape, strict=True))
    summed = [k for k in first if k in second and k not in result]
    kept, new = [k for k in first if k not in second], [k for k in second if k not in first]
    if not summed or sorted(result) != sorted(kept + new):
        raise Refuse(f"{equation} is no matrix product with a constant")
    inner = math.prod(sizes[k] for k in summed)
    rows = b.permute(x, [first.index(k) for k in (*kept, *summed)])
    rows = b.reshape(rows, (*(sizes[k] for k in kept), inner))
    columns = w.array.transpose([second.index(k) for k in (*new, *summed)]).reshape(-1, inner)
    if not kept:
        raise Refuse(f"{equation} sums the batch")
    found = b.reshape(linear(b, name, rows, Const(w.name, columns), None), tuple(sizes[k] for k in (*kept, *new)))
    return b.permute(found, [(*kept, *new).index(k) for k in result])


def _terms(equation: str, x: Value | Const, w: Value | Const) -> tuple[str, str, str]:
    """The letters of both factors and the result, with letters of their own for the dimensions of an ellipsis."""
    text = equation.replace(" ", "")
    left, arrow, result = text.partition("->")
    factors = left.split(",")
    if len(text) > 64 or len(factors) != 2:
        raise Refuse(f"{equation[:64]!r} has {len(factors)} factors; two are supported")
    if not arrow:
        letters = left.replace(",", "").replace(".", "")
        result = (ELLIPSIS if ELLIPSIS in left else "") + "".join(sorted(k for k in set(letters) if left.count(k) == 1))
    ranks = [len(v.shape) if isinstance(v, Value) else v.array.ndim for v in (x, w)]
    spans = [rank - len(term.replace(ELLIPSIS, "")) for rank, term in zip(ranks, factors, strict=True)]
    if any(not 0 <= s <= len(_SPARE) or (s and ELLIPSIS not in f) for s, f in zip(spans, factors, strict=True)):
        raise Refuse(f"{equation} does not fit {ranks} dimensions")
    most = max(spans) if ELLIPSIS in left else 0
    terms = [f.replace(ELLIPSIS, _SPARE[most - s : most]) for s, f in zip(spans, factors, strict=True)]
    terms.append(result.replace(ELLIPSIS, _SPARE[:most]))
    if any(len(set(t)) != len(t) or not t.isalpha() for t in terms if t):
        raise Refuse(f"{equation} repeats a letter, or has something else than letters")
    return terms[0], terms[1], terms[2]
