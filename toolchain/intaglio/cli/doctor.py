"""`intaglio doctor`: whether everything that intaglio calls is there, and how to get what is not."""

from __future__ import annotations

import typer

from . import common


def doctor() -> None:
    """Check compilers, emulators, the counting plugin and Python packages; say how to get what is missing.

    Exits with status 1 when something is missing that a board of the package needs.
    """
    from .. import doctor as checks

    with common.steps() as say:
        found = checks.examine(say)
    table = common.table("", ("", "left"), ("what", "left"), ("found", "left"), ("needed for", "left"))
    for check in found:
        mark = "ok" if check.ok else "MISSING" if check.required else "absent"
        table.add_row(mark, check.name, check.found, check.purpose)
    out = common.console()
    out.print(table)
    for line in checks.remedies(found):
        out.print(line, soft_wrap=True)
    if not all(check.ok for check in found if check.required):
        raise typer.Exit(1)
