"""MODEL.h: sizes, quantization of inputs and outputs, and the functions."""

from __future__ import annotations

from ..graph import DTYPES, Graph, Tensor
from ..manifest import C_TYPES
from . import arena
from .stamp import of_model
from .text import comment, dims, paragraph, real


def header(graph: Graph, digits: str) -> str:
    """The text of MODEL.h, for a graph with the hash `digits`. It includes nothing else of intaglio, so headers of
    several releases meet in one file."""
    name, big = graph.name, graph.name.upper()
    lines = [
        *of_model(name, digits, f" {graph.macs():,} multiply-accumulates an inference."),
        *paragraph(
            f"What belongs to this model begins with {name}_ or {big}_; what belongs to intaglio with itg_ or ITG_."
        ),
        f"#ifndef {big}_H",
        f"#define {big}_H",
        "",
        "#include <stdint.h>",
        "",
        "#ifdef ITG_CONFIG",
        "#include ITG_CONFIG",
        "#endif",
        "",
        f'#define {big}_HASH "{digits}"',
        *_sizes(graph),
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        *_functions(graph),
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
        "",
    ]
    return "\n".join(lines)


def _sizes(graph: Graph) -> list[str]:
    big = graph.name.upper()
    inputs, outputs = _ports(graph)
    state = sum(t.nbytes for t in graph.states())
    lines = [
        f"#define {big}_ARENA_BYTES {graph.arena_bytes} /* working memory, state included */",
        f"#define {big}_STATE_BYTES {state} /* of those, kept from one inference to the next */",
        f"#define {big}_INPUT_BYTES {sum(t.nbytes for t in inputs)}",
        f"#define {big}_OUTPUT_BYTES {sum(t.nbytes for t in outputs)}",
    ]
    for kind, ports in (("INPUT", inputs), ("OUTPUT", outputs)):
        for i, t in enumerate(ports):
            which = f"{big}_{kind}" if len(ports) == 1 else f"{big}_{kind}_{i}"
            lines.append("")
            lines.append(f"/* {comment(t.name)}: {t.dtype} {dims(t.shape)} */")
            if t.quant is not None and t.quant.per_tensor:
                lines.append(f"#define {which}_SCALE {real(t.scale)} /* real = SCALE * (q - ZERO_POINT) */")
                lines.append(f"#define {which}_ZERO_POINT ({t.zero_point})")
            lines.append(f"#define {which}_SIZE {t.size} /* elements */")
    return lines


def _ports(graph: Graph) -> tuple[list[Tensor], list[Tensor]]:
    return [graph.tensors[n] for n in graph.inputs], [graph.tensors[n] for n in graph.outputs]


def _functions(graph: Graph) -> list[str]:
    name, big = graph.name, graph.name.upper()
    inference = f"One inference. Inputs are only read; buffers do not overlap. {_alignment(graph)}"
    if not graph.arena_bytes:
        alone = "Re-entrant: it needs no memory but the caller's buffers and the stack."
        return [*paragraph(f"{inference} {alone}"), f"{prototype(graph)};"]
    again = "Forgets the past: to be called once before the first inference."
    reset = bool(graph.states())
    return [
        *paragraph(
            "The only memory that the model uses, besides the caller's buffers and the stack. "
            "Its bytes are there to be painted and looked at."
        ),
        *arena.declared(graph),
        "",
        f"#ifdef {big}_RUN_IN",
        "",
        *([*paragraph(again), f"void {name}_reset_in(union {name}_arena *memory);", ""] * reset),
        *paragraph(f"{inference} Re-entrant, as long as no two calls at once are given the same arena."),
        f"{prototype(graph, given=True)};",
        "",
        "#else",
        "",
        *_own(graph),
        *([*paragraph(again), f"void {name}_reset(void);", ""] * reset),
        *paragraph(f"{inference} Not re-entrant: all calls use one arena."),
        f"{prototype(graph)};",
        "",
        "#endif",
    ]


def _own(graph: Graph) -> list[str]:
    """Which object is the arena."""
    name, big = graph.name, graph.name.upper()
    if graph.states():
        why = f"{name} keeps its state in the arena, where another model would overwrite it: {big}_RUN_IN gives it one"
        shared = [f'#error "{why}"']
    else:
        shared = [f"extern union {big}_ARENA {big}_ARENA; /* yours: union {name}_arena is one of its members */"]
    return [
        f"#ifdef {big}_ARENA",
        *shared,
        "#else",
        f"extern union {name}_arena {name}_arena;",
        "#endif",
        "",
    ]


def _alignment(graph: Graph) -> str:
    """Where the caller's buffers may start."""
    starts: dict[int, list[str]] = {}
    for kind, names in (("in", graph.inputs), ("out", graph.outputs)):
        for i, n in enumerate(names):
            align = DTYPES[graph.tensors[n].dtype].itemsize
            starts.setdefault(align, []).append(port_name(kind, i, len(names)))
    each = [
        f"{'' if len(starts) == 1 else ', '.join(starts[align]) + ' '}"
        f"{'anywhere' if align == 1 else f'at a multiple of {align}'}"
        for align in sorted(starts)
    ]
    return f"Buffers start {'; '.join(each)}."


def prototype(graph: Graph, given: bool = False) -> str:
    """The declaration of MODEL_run, or of MODEL_run_in where the arena is given; without the semicolon."""
    ports = [
        f"const {C_TYPES[graph.tensors[n].dtype]} *{port_name('in', i, len(graph.inputs))}"
        for i, n in enumerate(graph.inputs)
    ] + [
        f"{C_TYPES[graph.tensors[n].dtype]} *{port_name('out', i, len(graph.outputs))}"
        for i, n in enumerate(graph.outputs)
    ]
    memory = [f"union {graph.name}_arena *memory"] * given
    return f"void {graph.name}_run{'_in' * given}({', '.join([*memory, *ports])})"


def port_name(kind: str, index: int, count: int) -> str:
    return kind if count == 1 else f"{kind}{index}"
