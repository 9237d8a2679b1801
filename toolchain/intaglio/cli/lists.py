"""`intaglio boards`, `targets` and `ops`: what there is."""

from __future__ import annotations

from . import common


def boards() -> None:
    """The boards that models can be compiled for."""
    from .. import boards as data

    table = common.table(
        "",
        ("board", "left"),
        ("what it is", "left"),
        ("target", "left"),
        ("flash KB", "right"),
        ("RAM KB", "right"),
        caption="A folder of your own with a board.toml is a board as well: --board ./my-board",
    )
    for name in data.names():
        board = data.load(name)
        memory = board.memory
        flash, ram = (f"{memory.total(kind) / 1024:,.0f}" if memory else "" for kind in ("flash", "ram"))
        table.add_row(name, board.title, board.target, flash, ram)
    common.console().print(table)


def targets() -> None:
    """The processor cores, and how code is compiled for them."""
    from .. import targets as data

    table = common.table(
        "", ("target", "left"), ("what it is", "left"), ("float", "left"), ("kernels", "left"), ("compiler", "left")
    )
    for name in data.names():
        target = data.load(name)
        flags = " ".join(flag for flag in target.gcc.flags if flag.startswith("-mcpu"))
        table.add_row(
            name, target.title, target.float, ", ".join(target.kernels), f"{target.gcc.program} {flags}".strip()
        )
    common.console().print(table)


def ops() -> None:
    """The operators, what they are called in TFLite, and the kernel that computes them."""
    from .. import assets
    from ..ops import all_ops
    from ..ops.base import Op

    kernels = {path.stem for path in (assets.root() / "runtime_c" / "kernels" / "c").glob("*.c")}
    table = common.table("", ("operator", "left"), ("TFLite", "left"), ("kernel", "left"))
    for name, op in all_ops().items():
        builtins = ", ".join(op.tflite) or _STATE.get(name, "")
        # Without either: what exists in float graphs only, before they are simplified.
        if builtins or op.reference is not Op.reference:
            table.add_row(name, builtins, f"{name}.c" if name in kernels else "none" if op.is_view else "shared")
    common.console().print(table)


_STATE = {"assign_variable": "ASSIGN_VARIABLE, VAR_HANDLE, CALL_ONCE", "read_variable": "READ_VARIABLE"}
"""Resource variables are not operators of a Graph but tensors: frontends/tflite_state.py reads them."""
