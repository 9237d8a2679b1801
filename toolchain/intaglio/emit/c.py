"""A planned Graph -> C text. Every decision has been made before; this writes it down, the same bytes each time.

The result is a folder: MODEL.h, MODEL.c, itg.h, kernels/*.{c,h} and intaglio.json. It builds anywhere with
`cc -I. *.c kernels/*.c` as C99, and as C++.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .. import assets
from ..errors import GraphError
from ..graph import Graph, layer_name
from ..manifest import FILE, Layer, Manifest, port_of
from .header import header
from .kernels import written
from .source import Source
from .stamp import model_hash, of_runtime

C_HEADERS = {
    "alloca", "assert", "complex", "ctype", "endian", "errno", "features", "fenv", "float", "inttypes", "iso646",
    "limits", "locale", "malloc", "math", "newlib", "setjmp", "signal", "stdarg", "stdbool", "stddef", "stdint",
    "stdio", "stdlib", "string", "strings", "sys", "tgmath", "time", "ucontext", "unistd", "wchar", "wctype",
}  # fmt: skip
"""Headers of C libraries: with -I. a model's own header of such a name would be found instead."""


def emit(graph: Graph, board: str) -> dict[str, bytes]:
    """The files of the folder, by relative path.

    Args:
        graph: a planned graph.
        board: recorded in intaglio.json.
    """
    if graph.arena_bytes is None:
        raise GraphError(graph.name, "is not planned")
    kernels = {name: path for n in graph.nodes for c in n.calls for name, path in c.files.items()}
    if graph.name.startswith("itg") or graph.name in C_HEADERS | {Path(name).stem for name in kernels}:
        # softmax.tflite, stdint.tflite: files, guards and objects must not meet those of the kernel or of C.
        graph = replace(graph, name=f"{graph.name}_model")
    digits = model_hash(graph)
    text = Source(graph, digits)
    files = {f"{graph.name}.h": header(graph, digits), f"{graph.name}.c": text.source(), "itg.h": _itg_h()}
    files |= {f"kernels/{name}": body for name, body in written(_texts(kernels)).items()}
    files[FILE] = manifest(text, board, [n for n in sorted(files) if n.endswith(".c")]).to_json()
    return {name: body.encode() for name, body in sorted(files.items())}


def _texts(kernels: Mapping[str, Path]) -> dict[str, str]:
    return {name: path.read_text() for name, path in kernels.items()}


def _itg_h() -> str:
    text = (assets.root() / "runtime_c" / "include" / "itg.h").read_text()
    return f"{of_runtime('itg.h')}\n{text}"


def manifest(text: Source, board: str, sources: Sequence[str]) -> Manifest:
    """What intaglio.json says of the folder, once MODEL.c is written."""
    graph = text.graph
    layers = tuple(
        Layer(
            name=layer_name(n.name),
            op=n.op.name,
            macs=n.op.macs(graph.ins(n), graph.outs(n)),
            line=text.lines.get(i),
            encoding=next((t.encoding for t in graph.ins(n) if t is not None and t.encoding), ""),
        )
        for i, n in enumerate(graph.nodes)
    )
    return Manifest(
        model=graph.name,
        board=board,
        inputs=tuple(port_of(graph.tensors[n]) for n in graph.inputs),
        outputs=tuple(port_of(graph.tensors[n]) for n in graph.outputs),
        arena_bytes=graph.arena_bytes or 0,
        weight_bytes=text.weight_bytes,
        state_bytes=sum(t.nbytes for t in graph.states()),
        peak=layer_name(graph.peak),
        layers=layers,
        sources=tuple(sources),
    )
