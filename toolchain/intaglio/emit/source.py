"""MODEL.c: constants, the arena, and the calls of one inference."""

from __future__ import annotations

import re

from .. import assets
from ..errors import GraphError
from ..graph import Graph, Node, Tensor
from ..manifest import C_TYPES
from ..ops.base import Arg, Buf, Call, Const, FieldValue, Null, Num, Scratch, Struct
from . import arena
from .header import port_name, prototype
from .stamp import of_model
from .text import array, comment, dims, integer, listed, paragraph, real, wrap


class Source:
    """MODEL.c while it is written. `lines` maps a node's number to the first and last line of its calls."""

    def __init__(self, graph: Graph, digits: str) -> None:
        self.graph = graph
        self.hash = digits
        self.big = graph.name.upper()
        self.flash = f"{self.big}_FLASH"
        self.lines: dict[int, tuple[int, int]] = {}
        self.arrays: dict[str, str] = {}
        self.structs: list[str] = []
        self.weights = constant_names(graph)
        self.offsets = arena.names(graph)
        self.stored: dict[tuple[str, bytes | str], str] = {}
        """Arrays by what they hold, and structs by their text: equal ones are written once."""
        self.weight_bytes = 0
        """Of the model's constants, as they are or encoded: each array once."""
        for name, c_name in self.weights.items():
            t = graph.tensors[name]
            assert t.data is not None
            self.stored[t.dtype, t.data.tobytes()] = c_name
            self.weight_bytes += t.nbytes

    def source(self) -> str:
        graph = self.graph
        body = self.body()
        arguments = [v for n in graph.nodes for c in n.calls for v in values(c)]
        system = ["#include <stddef.h>"] * any(isinstance(v, Null) for v in arguments)
        system += ["#include <string.h>"] * bool(graph.states())
        head = [
            *of_model(graph.name, self.hash),
            '#include "itg.h"',
            f'#include "{graph.name}.h"',
            *sorted({f'#include "kernels/{c.kernel}.h"' for n in graph.nodes for c in n.calls}),
            *(["", *system] if system else []),
            "",
            f"#if ITG_ABI != {_abi()}",
            '#error "this file and itg.h come from different releases of intaglio: generate the model again"',
            "#endif",
            "",
            *self.section(self.flash, "WEIGHTS", "Where weights and tables go: see itg.h."),
        ]
        for tensor_name, c_name in self.weights.items():
            t = graph.tensors[tensor_name]
            assert t.data is not None
            self.arrays[c_name] = array(c_name, t.data, f"{comment(t.name)} {dims(t.shape)}", self.flash)
        reset, initial = arena.reset(graph, self.flash)
        self.arrays |= initial
        for c_name in sorted(self.arrays):
            head += [self.arrays[c_name], ""]
        for struct in self.structs:
            head += [struct, ""]
        head += [*self.memory(), *self.reset(reset), *self.signature(), "{"]
        start = sum(part.count("\n") + 1 for part in head) + 1
        self.lines = {i: (a + start, b + start) for i, (a, b) in self.lines.items()}
        return "\n".join([*head, *body, "}", ""])

    def section(self, macro: str, what: str, about: str) -> list[str]:
        """The definition of a macro that puts an object into the section that the user names, if any."""
        return [
            *paragraph(about),
            f"#if defined({self.big}_{what}_SECTION)",
            f"#define {macro} ITG_SECTION({self.big}_{what}_SECTION)",
            f"#elif defined(ITG_{what}_SECTION)",
            f"#define {macro} ITG_SECTION(ITG_{what}_SECTION)",
            "#else",
            f"#define {macro}",
            "#endif",
            "",
        ]

    def memory(self) -> list[str]:
        """The arena: its map, and which object it is."""
        graph, big = self.graph, self.big
        if not graph.arena_bytes:
            return []
        return [
            *arena.offsets(graph),
            *self.section(f"{big}_RAM", "ARENA", f"Where the arena goes. It is fullest at {comment(graph.peak)}."),
            f"#if defined({big}_RUN_IN)",
            f"#define {big}_MEMORY memory->bytes",
            f"#elif defined({big}_ARENA)",
            f"#define {big}_MEMORY (uint8_t *)&{big}_ARENA",
            "#else",
            f"#define {big}_MEMORY {graph.name}_arena.bytes",
            f"{big}_RAM union {graph.name}_arena {graph.name}_arena;",
            "#endif",
            "",
        ]

    def reset(self, statements: list[str]) -> list[str]:
        if not statements:
            return []
        name = self.graph.name
        given, own = f"void {name}_reset_in(union {name}_arena *memory)", f"void {name}_reset(void)"
        return [*self.either(given, own), "{", self.pointer_to_arena(), *statements, "}", ""]

    def signature(self) -> list[str]:
        own = prototype(self.graph)
        return self.either(prototype(self.graph, given=True), own) if self.graph.arena_bytes else [own]

    def either(self, given: str, own: str) -> list[str]:
        """Of two function heads the one with the arena that the caller gives, if he does."""
        return [f"#ifdef {self.big}_RUN_IN", given, "#else", own, "#endif"]

    def pointer_to_arena(self) -> str:
        return f"    uint8_t *const arena = {self.big}_MEMORY;"

    def body(self) -> list[str]:
        """The statements of MODEL_run; records lines relative to its first."""
        out: list[str] = []
        used = {a.tensor for n in self.graph.nodes for c in n.calls for a in arena.buffers(c)}
        for kind, names in (("in", self.graph.inputs), ("out", self.graph.outputs)):
            for i, n in enumerate(names):
                if n not in used and not self.reached(n, used):
                    out.append(f"    (void){port_name(kind, i, len(names))};")
        if self.graph.arena_bytes:
            out.append(self.pointer_to_arena())
            scratch = any(c.scratches for n in self.graph.nodes for c in n.calls)
            if not scratch and not any(arena.in_arena(self.graph.tensors[n]) for n in used if n in self.graph.tensors):
                out.append("    (void)arena;")
        for i, node in enumerate(self.graph.nodes):
            out += wrap(f"/* {i}: {self.describe(node)} */".split(" "), "    ", "     * ")
            first = len(out)
            for k, call in enumerate(node.calls):
                suffix = f"_{k}" if len(node.calls) > 1 else ""
                arguments = [
                    self.scratch(a, i, k, at) if isinstance(a, Scratch) else self.argument(a, i, node, suffix)
                    for at, a in enumerate(call.args)
                ]
                arguments[0] = f"{call.function}({arguments[0]}"
                out += wrap(listed(arguments, ");"), "    ", "        ")
            if node.calls:
                self.lines[i] = (first, len(out) - 1)
        return out

    def reached(self, name: str, used: set[str]) -> bool:
        """Whether a caller's buffer is used under another tensor's name."""
        place = self.graph.tensors[name].place
        return any(self.graph.tensors[u].place == place for u in used if u in self.graph.tensors)

    def describe(self, node: Node) -> str:
        shapes = [dims(t.shape) for t in self.graph.ins(node)[:1] if t is not None]
        shapes += [dims(t.shape) for t in self.graph.outs(node)]
        macs = node.op.macs(self.graph.ins(node), self.graph.outs(node))
        cost = f", {macs:,} MACs" if macs else "" if node.calls else ", no code"
        return f"{comment(node.name)}: {node.op.name} {' -> '.join(shapes)}{cost}"

    def scratch(self, a: Scratch, i: int, call: int, argument: int) -> str:
        return arena.at(C_TYPES[a.dtype], arena.scratch_name(self.graph, i, call, argument))

    def argument(self, a: Arg, i: int, node: Node, suffix: str) -> str:
        if isinstance(a, Buf):
            return self.pointer(self.graph.tensors[a.tensor])
        if isinstance(a, Const):
            return self.constant(a, i, node, suffix)
        if isinstance(a, Num):
            return real(a.value) if isinstance(a.value, float) else integer(a.value)
        if isinstance(a, Struct):
            c_name = f"{self.prefix(i)}{suffix}_params"
            values = [f"/* {key} */ {self.value(v, i, node, suffix)}" for key, v in a.fields]
            text = "\n".join(wrap(listed(values), "    ", "    "))
            stored = self.stored.setdefault((a.ctype, text), c_name)
            if stored == c_name:
                self.structs.append(f"static const {a.ctype} {c_name} = {{\n{text}\n}};")
            return f"&{stored}"
        return "NULL"

    def value(self, v: FieldValue, i: int, node: Node, suffix: str) -> str:
        if isinstance(v, Buf | Const | Null):
            return self.argument(v, i, node, suffix)
        if isinstance(v, float):
            return real(v)
        if isinstance(v, int):
            return integer(v)
        return "{" + ", ".join(integer(int(k)) for k in v) + "}"

    def constant(self, a: Const, i: int, node: Node, suffix: str) -> str:
        c_name = f"{self.prefix(i)}{suffix}_{a.suffix}"
        stored = self.stored.setdefault((a.data.dtype.name, a.data.tobytes()), c_name)
        if stored == c_name:
            self.weight_bytes += a.data.nbytes if a.weights else 0
            self.arrays[c_name] = array(c_name, a.data, a.comment or dims(a.data.shape), self.flash, a.align or None)
        return stored

    def prefix(self, i: int) -> str:
        return f"{self.graph.name}_l{i:02d}"

    def pointer(self, t: Tensor) -> str:
        place, ctype = t.place, C_TYPES[t.dtype]
        if place is None:
            raise GraphError(f"tensor {t.name}", "has no place in memory")
        if place.kind == "arena":
            return arena.at(ctype, self.offsets[t.name])
        if place.kind == "const":
            return self.weights[place.of]
        names = self.graph.inputs if place.kind == "input" else self.graph.outputs
        pointer = port_name("in" if place.kind == "input" else "out", place.index, len(names))
        declared = self.graph.tensors[names[place.index]].dtype
        constness = "const " if place.kind == "input" else ""
        return pointer if declared == t.dtype else f"({constness}{ctype} *){pointer}"


def values(call: Call) -> list[Arg | FieldValue]:
    """A call's arguments and the fields of its structs."""
    return [*call.args, *(v for a in call.args if isinstance(a, Struct) for _, v in a.fields)]


def _abi() -> str:
    found = re.search(r"#define ITG_ABI (\d+)", (assets.root() / "runtime_c" / "include" / "itg.h").read_text())
    if found is None:
        raise GraphError("itg.h", "defines no ITG_ABI")
    return found[1]


def constant_names(graph: Graph) -> dict[str, str]:
    """C names of the constant tensors that are stored, after the first node that uses them and its input's role."""
    names: dict[str, str] = {}
    for i, node in enumerate(graph.nodes):
        used = {b.tensor for c in node.calls for b in arena.buffers(c)}
        roles = node.op.input_names
        for k, name in enumerate(node.inputs):
            place = graph.tensors[name].place if name in used else None
            if place is not None and place.kind == "const" and place.of not in names:
                role = roles[k] if k < len(roles) else f"in{k}"
                names[place.of] = f"{graph.name}_l{i:02d}_{role}"
    return names
