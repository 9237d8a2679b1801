"""Kernels on their way into a folder: named after their contents, so that any number of models link.

itg_conv2d_s8 is compiled as itg_conv2d_s8_1a2b3c4d, by a #define in its header. The digits are a hash of all the text
that its machine code is made of: equal kernels of two folders have one name, others never meet. The definition is weak
(ITG_KERNEL of itg.h), so the linker keeps one of equal ones. Nothing else of the text in runtime_c/kernels changes:
what is tested and proved there is what is compiled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from ..errors import GraphError
from .stamp import of_runtime

_HEAD = r"^(?!static\b|typedef\b)(?=\w[\w *]*?[ *](itg_\w+)\([^;{}]*\)"
_DEFINITION = re.compile(_HEAD + r"\s*\{)", re.M)
"""In front of a function that other files may call."""
_DECLARATION = re.compile(_HEAD + r";)", re.M)
_INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)


def written(texts: Mapping[str, str]) -> dict[str, str]:
    """Kernel files as a folder holds them, from those of the repository by name, e.g. `conv2d.c` and `conv2d.h`.

    Raises GraphError for a function that no header declares: others could not call it by its name.
    """
    sources = {name: content_hash(name, texts) for name in texts if name.endswith(".c")}
    defined = {f: (name, f"{f}_{digits}") for name, digits in sources.items() for f in _DEFINITION.findall(texts[name])}
    declared = {name: _DECLARATION.findall(text) for name, text in texts.items() if name not in sources}
    for function in sorted(set(defined).difference(*declared.values())):
        raise GraphError(f"kernel {defined[function][0]}", f"defines {function}", "what a header of kernels declares")
    found: dict[str, str] = {}
    for name, text in texts.items():
        if name in sources:
            found[name] = f"{of_runtime(f'Kernel {name} {sources[name]}')}\n{_source(text)}"
        else:
            names = {f: defined[f][1] for f in declared[name] if f in defined}
            found[name] = f"{of_runtime(f'Kernel header {name}')}\n{_header(text, names)}"
    return found


def content_hash(source: str, texts: Mapping[str, str]) -> str:
    """8 hexadecimal digits that tell a kernel's source by its text, that of the headers it includes, and that of the
    kernels that it calls."""
    closure: set[str] = set()
    queue = [source]
    while queue:
        name = queue.pop()
        if name in closure or name not in texts:
            continue
        closure.add(name)
        headers = _INCLUDE.findall(texts[name])
        queue += headers
        if name.endswith(".c"):  # it calls what it includes; a header only takes types
            queue += [f"{header.removesuffix('.h')}.c" for header in headers]
    digest = hashlib.sha256()
    for name in sorted(closure):
        digest.update(f"{name}\0{len(texts[name])}\0{texts[name]}".encode())
    return digest.hexdigest()[:8]


def _source(text: str) -> str:
    """A kernel's source with its definitions marked. itg.h is that of its own folder, whatever -I says."""
    text = _INCLUDE.sub(lambda m: m[0].replace('"itg.h"', '"../itg.h"'), text)
    if '"../itg.h"' not in text:
        text = _INCLUDE.sub(lambda m: f'#include "../itg.h"\n{m[0]}', text, count=1)
    return _DEFINITION.sub("ITG_KERNEL\n", text)


def _header(text: str, names: Mapping[str, str]) -> str:
    """A kernel's header with the names that the linker sees, and for C++ as well: within the guard, after whatever it
    includes."""
    lines = text.rstrip("\n").split("\n")
    depth, at, pending = 0, 0, False
    guard = re.search(r"^#ifndef (\w+)\n#define \1$", text, re.M)
    for i, line in enumerate(lines):
        depth += line.startswith("#if") - line.startswith("#endif")
        pending |= line.startswith("#include") or (guard is not None and line == f"#define {guard[1]}")
        if pending and depth == 1:  # an #include may stand within an #if of its own
            at, pending = i + 1, False
    if not at:
        raise GraphError("a kernel's header", "has no guard", "#ifndef ITG_X_H, #define ITG_X_H, ... #endif")
    end = max(i for i, line in enumerate(lines) if line.startswith("#endif"))
    if _DECLARATION.search("\n".join(lines[:at])):
        raise GraphError("a kernel's header", "declares a kernel before its last #include", "#include lines first")
    if not "".join(lines[at:end]).strip():
        return text  # the last #include comes after all code, which is `static inline`: see dsp.h
    opened = ["", "#ifdef __cplusplus", 'extern "C" {', "#endif"]
    defines = ["", *(f"#define {name} {hashed}" for name, hashed in names.items())] if names else []
    closed = ["#ifdef __cplusplus", "}", "#endif", "", *lines[end:], ""]
    return "\n".join([*lines[:at], *opened, *defines, *lines[at:end], *closed])
