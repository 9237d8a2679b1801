"""The arena in C: the type of its memory, a name for each place in it, and the map of who lies where and when."""

from __future__ import annotations

import numpy as np

from ..errors import GraphError
from ..graph import Graph, Tensor
from ..ops.base import Buf, Call, Scratch, Struct
from .text import WIDTH, array, comment, dims, paragraph

WORD = 4


def declared(graph: Graph) -> list[str]:
    """The union that MODEL.h declares. Its members are all that kernels access the arena as: C has rules about that."""
    words = f"({graph.name.upper()}_ARENA_BYTES + {WORD - 1}) / {WORD}"
    return [
        f"union {graph.name}_arena {{",
        f"    uint8_t bytes[{graph.name.upper()}_ARENA_BYTES];",
        f"    int16_t s16[{words} * 2];",
        f"    int32_t s32[{words}];",
        f"    float f32[{words}];",
        "};",
    ]


def buffers(call: Call) -> list[Buf]:
    """The tensors that a call reads or writes."""
    fields = (v for a in call.args if isinstance(a, Struct) for _, v in a.fields)
    return [v for v in (*call.args, *fields) if isinstance(v, Buf)]


def names(graph: Graph) -> dict[str, str]:
    """C names for the offsets of the tensors in the arena that are used: after their node, e.g. `kws_l03_at`."""
    used = {b.tensor for n in graph.nodes for c in n.calls for b in buffers(c)}
    found = {t.name: f"{graph.name}_state{k:02d}_at" for k, t in enumerate(graph.states())}
    for i, node in enumerate(graph.nodes):
        for k, name in enumerate(node.outputs):
            if name in used and in_arena(graph.tensors[name]):
                found.setdefault(name, f"{graph.name}_l{i:02d}_at{k if len(node.outputs) > 1 else ''}")
    return found


def scratch_name(graph: Graph, node: int, call: int, argument: int) -> str:
    """The C name of a scratch's offset, e.g. `kws_l03_scratch_at`, with numbers where a node has several."""
    places = [
        (c, k)
        for c, one in enumerate(graph.nodes[node].calls)
        for k, a in enumerate(one.args)
        if isinstance(a, Scratch)
    ]
    number = places.index((call, argument)) if len(places) > 1 else ""
    return f"{graph.name}_l{node:02d}_scratch{number}_at"


def in_arena(t: Tensor) -> bool:
    return t.place is not None and t.place.kind == "arena"


def offsets(graph: Graph) -> list[str]:
    """The enumeration of all offsets, each with its bytes and for how long they hold it; empty without any."""
    rows = [*_tensor_rows(graph), *_scratch_rows(graph)]
    if not rows:
        return []
    about = "Offsets in the arena: the first and the last byte, the nodes from which to which they are held, and what."
    lines = paragraph(about)
    rows.sort(key=lambda row: (row[1], row[3]))
    wide = max(len(name) for name, *_ in rows), len(str(max(last for _, _, last, *_ in rows)))
    lines.append("enum {")
    for k, (name, first, last, alive, what) in enumerate(rows):
        value = f"{name} = {first}{',' if k + 1 < len(rows) else ''}"
        text = f"    {value:<{wide[0] + wide[1] + 4}} /* ..{last:<{wide[1]}} {_nodes(alive):<9} {what}"
        lines.append(f"{text[: WIDTH - 3].rstrip()} */")
    return [*lines, "};", ""]


_Row = tuple[str, int, int, tuple[int, int], str]
"""Name, first byte, last byte, first and last node, and what it is."""


def _nodes(alive: tuple[int, int]) -> str:
    first, last = alive
    return "always" if first < 0 else f"{first}" if first == last else f"{first} to {last}"


def _tensor_rows(graph: Graph) -> list[_Row]:
    made = {name: i for i, node in enumerate(graph.nodes) for name in node.outputs}
    used = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    rows: list[_Row] = []
    for name, c_name in names(graph).items():
        t = graph.tensors[name]
        if t.place is None:
            raise GraphError(f"tensor {name}", "has no place in memory")
        start = made.get(name, -1)
        alive = (-1, -1) if t.state else (start, max(start, used.get(name, start)))
        last = t.place.offset + t.nbytes - 1
        rows.append((c_name, t.place.offset, last, alive, f"{comment(t.name)} {t.dtype} {dims(t.shape)}"))
    return rows


def _scratch_rows(graph: Graph) -> list[_Row]:
    rows: list[_Row] = []
    for i, node in enumerate(graph.nodes):
        for c, call in enumerate(node.calls):
            for k, a in enumerate(call.args):
                if isinstance(a, Scratch) and a.offset is not None:
                    last = a.offset + a.nbytes - 1
                    rows.append((scratch_name(graph, i, c, k), a.offset, last, (i, i), f"scratch of {a.dtype}"))
    return rows


def at(ctype: str, offset: str) -> str:
    """A pointer into the arena. That its bytes are aligned for it is known here, and not to -Wcast-align."""
    through = "" if ctype in ("int8_t", "uint8_t") else "(void *)"
    return f"({ctype} *){through}(arena + {offset})"


def reset(graph: Graph, place: str) -> tuple[list[str], dict[str, str]]:
    """The statements that put the first values into the states, and the arrays that hold those that are not uniform.

    `place` is the macro that names the section of constants.
    """
    lines: list[str] = []
    arrays: dict[str, str] = {}
    named = names(graph)
    for k, t in enumerate(graph.states()):
        if t.data is None:
            raise GraphError(f"tensor {t.name}", "is a state without a first value")
        where = f"arena + {named[t.name]}"
        raw = np.frombuffer(t.data.tobytes(), np.uint8)
        lines.append(f"    /* {comment(t.name)}: {t.dtype} {dims(t.shape)} */")
        if (raw == raw[0]).all():
            lines.append(f"    memset({where}, {int(raw[0])}, {t.nbytes});")
        else:
            c_name = f"{graph.name}_state{k:02d}"
            arrays[c_name] = array(c_name, t.data, f"{comment(t.name)} {dims(t.shape)}", place)
            lines.append(f"    memcpy({where}, {c_name}, {t.nbytes});")
    return lines, arrays
