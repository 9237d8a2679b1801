"""What an operator is like is said by the operator: elsewhere only a few ask which one it is, each with a reason."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import intaglio
from intaglio import ops
from intaglio.graph import Tensor
from intaglio.ops.base import Op

ROOT = Path(intaglio.__file__).parent
MOST = 10
REASONS = {
    ("compress/lossless.py", "Conv2DBorders"): "makes this operator and takes it back where its tables are too long",
    ("lower/explicit_silu.py", "Silu"): "writes this one operator as two",
    ("floats/fuse_bias.py", "Add"): "an addition of a constant is what it looks for",
    ("floats/fuse_hard_swish.py", "Add"): "recognises the parts of which exporters make a HARD_SWISH",
    ("floats/fuse_hard_swish.py", "Mul"): "the same",
    ("floats/pool_to_mean.py", "AveragePool2D"): "writes this one operator as another",
    ("quantize/split_hard_swish.py", "HardSwish"): "writes this one operator as three",
}
"""(file, class or name) -> why it has to ask."""


def classes() -> set[str]:
    """The names of all operators' classes, and of the classes that they have in common."""
    ops.all_ops()
    found: set[str] = set()
    queue = [Op]
    while queue:
        for sub in queue.pop().__subclasses__():
            queue.append(sub)
            found.add(sub.__name__)
    return found


def named(node: ast.AST, known: set[str]) -> list[str]:
    """The operators' classes in the second argument of an isinstance, through tuples and unions."""
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and n.id in known]


def asks_name(node: ast.AST) -> bool:
    """`node.op.name`, `op.name`, `layer.op` as text are told by their last two words."""
    if not (isinstance(node, ast.Attribute) and node.attr in ("name", "kind")):
        return False
    owner = node.value
    return (isinstance(owner, ast.Attribute) and owner.attr == "op") or (
        isinstance(owner, ast.Name) and owner.id == "op"
    )


def asked_in(tree: ast.AST, known: set[str]) -> list[tuple[int, str]]:
    """(line, what is asked for) of each test of an operator's class or name."""
    names = {cls.name for cls in ops.all_ops().values()}
    groups = {
        target.id: [v for v in ast.walk(a.value) if isinstance(v, ast.Name) and v.id in known]
        for a in ast.walk(tree)
        if isinstance(a, ast.Assign)
        for target in a.targets
        if isinstance(target, ast.Name)
    }
    aliases = {name for name, members in groups.items() if members}
    found: list[tuple[int, str]] = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id in ("isinstance", "issubclass")
        ):
            asked = named(node.args[1], known | aliases)
            if asked:
                found.append((node.lineno, "|".join(asked)))
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            told = any(asks_name(s) or (isinstance(s, ast.Attribute) and s.attr == "op") for s in sides)
            texts = {c.value for s in sides for c in ast.walk(s) if isinstance(c, ast.Constant)}
            types = any(getattr(getattr(n, "func", None), "id", "") == "type" for n in ast.walk(node))
            if any(map(asks_name, sides)) or (told and texts & names) or (types and named(node, known | {"Op"})):
                found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.Subscript) and asks_name(node.slice):
            found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            if any(map(asks_name, node.args)):
                found.append((node.lineno, ast.unparse(node)))
        elif isinstance(node, ast.MatchClass) and named(node.cls, known):
            found.append((node.cls.lineno, ast.unparse(node.cls)))
    return found


def all_asked(root: Path = ROOT) -> list[tuple[str, int, str]]:
    """Of every file outside ops/ and frontends/, which translate operators one by one."""
    known = classes()
    return [
        (path.relative_to(root).as_posix(), line, what)
        for path in sorted(root.rglob("*.py"))
        if path.relative_to(root).parts[0] not in ("ops", "frontends")
        for line, what in asked_in(ast.parse(path.read_text()), known)
    ]


def test_at_most_ten_places_ask_which_operator_it_is_and_each_has_a_reason():
    found = all_asked()
    lines = "\n".join(f"{ROOT / file}:{line}: {what}" for file, line, what in found)
    assert len(found) <= MOST, f"{len(found)} tests of an operator's class or name:\n{lines}"
    without = [f"{ROOT / f}:{line}: {what}" for f, line, what in found if (f, what) not in REASONS]
    assert not without, "make it a fact of the operator (ops/base.py), or give a reason here:\n" + "\n".join(without)
    assert {(f, what) for f, _, what in found} == set(REASONS), "a reason is left of a test that is gone"


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(node.op, Conv2D | DepthwiseConv2D)",
        "isinstance(op, (Relu, Unary))",
        "LAYERS = (Conv2D, FullyConnected)\nisinstance(op, LAYERS)",
        "node.op.name == 'conv2d'",
        "node.op.name not in LAYERS",
        "'pool' in before.op.name",
        "axis = OUT_AXIS[node.op.name]",
        "FIXED.get(node.op.name)",
        "layer.op == 'conv2d'",
        "type(node.op) is Conv2D",
        "type(op).lower is Op.lower",
        "match node.op:\n    case Conv2D(): pass",
    ],
)
def test_every_way_to_ask_is_seen(text):
    assert [what for _, what in asked_in(ast.parse(text), classes())]


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(arg, Scratch)",
        "f'{node.op.name} ({node.name})'",
        "node.op.weighted",
        "node.name == 'conv2d'",
        "rows[0]",
    ],
)
def test_nothing_else_counts(text):
    assert not asked_in(ast.parse(text), classes())


def test_of_a_new_operator_nothing_is_assumed():
    """What passes ask of an operator that says nothing: they leave it alone."""
    x = Tensor("x", (1, 4), "float32")
    new = Op()
    bold = (
        "weighted",
        "picks",
        "shares_quant",
        "increasing",
        "clamps_alike",
        "commutes_with_clamp",
        "forward_is_exact",
    )
    assert not any(getattr(new, fact) for fact in (*bold, "homogeneous", "fuses_activation", "requantizes", "state"))
    assert new.layer is None and new.border is None and new.bare() is None and new.links([x], [x]) is None
    assert new.bounds([None], [None], [x], [x]) is None and not new.is_identity([x], [x])


def test_facts_agree_with_each_other():
    for cls in ops.all_ops().values():
        op = cls.__new__(cls)
        assert bool(op.parameters) >= op.weighted, cls
        assert (op.layer is not None) >= op.weighted, cls
        assert not (op.picks and (op.weighted or op.output_quants)), cls
