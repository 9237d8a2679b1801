"""itg_app.h: what joins the application (runtime_c/app/app.c) and a model."""

from __future__ import annotations

from ..manifest import Manifest


def glue(manifest: Manifest) -> str:
    """itg_app.h: buffers for one inference and the model's names, for runtime_c/app/app.c."""
    lines = [f'#include "{manifest.model}.h"', ""]
    names: list[str] = []
    for kind, ports in (("input", manifest.inputs), ("output", manifest.outputs)):
        for i, port in enumerate(ports):
            # The union aligns the buffer for word access, as a caller's buffer may well be.
            lines.append(f"static union {{ {port.ctype} data[{port.elements}]; uint32_t word; }} {kind}_{i};")
            names.append(f"{kind}_{i}.data")
        rows = ", ".join(f"{{{kind}_{i}.data, {port.nbytes}u}}" for i, port in enumerate(ports))
        lines.append(f"static const itg_app_buffer itg_app_{kind}s[] = {{{rows}}};")
    lines.append(f"#define ITG_APP_RUN() {manifest.model}_run({', '.join(names)})")
    reset = f"{manifest.model}_reset()" if manifest.state_bytes else "((void)0)"
    lines.append(f"#define ITG_APP_RESET() {reset}")
    if manifest.arena_bytes:
        lines.append(f"#define ITG_APP_ARENA {manifest.model}_arena.bytes")
    return "\n".join(lines) + "\n"
