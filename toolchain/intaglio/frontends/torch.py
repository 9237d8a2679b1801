"""An nn.Module -> Graph, through torch.export.

The module is exported in evaluation mode for a batch of one (torch.export, PyTorch 2), functionalized but not
decomposed, and each ATen call is translated by torch_aten.py, torch_conv.py and torch_norm.py. Layouts change once, at
the door: a 4-D input of the module (n, c, h, w) is an input [1][h][w][c] of the Graph, and so are 4-D outputs; see
layout.py.
"""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Sequence
from typing import Any

from ..errors import DataError, GraphError, UnsupportedError
from ..extras import missing
from ..graph import Graph, verify
from ..ops.base import Refuse
from . import torch_aten as aten
from .layout import Builder, Const, Shape, Value
from .torch_aten import AtenCall, Handler, Result
from .torch_conv import HANDLERS as CONVOLUTIONS
from .torch_norm import HANDLERS as NORMALIZATIONS

HANDLERS: dict[str, Handler] = {
    **aten.ELEMENTWISE,
    **aten.REDUCTIONS,
    **CONVOLUTIONS,
    **NORMALIZATIONS,
    **dict.fromkeys(aten.IDENTITIES, aten.identity),
    **dict.fromkeys(aten.RESHAPES, aten.reshape),
    **dict.fromkeys(("expand", "repeat", "tile"), aten.expand),
    "permute": aten.permute,
    "transpose": aten.transpose,
    "t": aten.transpose,
    "slice": aten.slice_,
    "select": aten.select,
    "index": aten.index,
    "index_select": aten.index_select,
    "flip": aten.flip,
    "split": aten.split,
    "split_with_sizes": aten.split,
    "chunk": aten.split,
    "cat": aten.cat,
    "pad": aten.pad,
    "constant_pad_nd": aten.pad,
    "linear": aten.linear,
    "matmul": aten.matmul,
    "mm": aten.matmul,
    "addmm": aten.addmm,
    "einsum": aten.einsum,
}
"""What translates each ATen operator, whatever its overload."""

MAX_FOLDED = 1 << 24
"""Elements of a constant that is computed while the model is read."""
_REMEDIES = {
    "log_softmax": "leave it out of the exported module: the largest logit is the same",
    "mish": "use nn.GELU, nn.SiLU or nn.Hardswish",
    "softplus": "use nn.ReLU or nn.ELU",
}


def load(module: Any, example: Any, name: str = "model") -> Graph:
    """An nn.Module -> a float Graph.

    Args:
        module: the module; it is copied, set to evaluation mode, and not changed. Its parameters become float32.
        example: an input tensor, or a tuple of the positional inputs, float32, batch first: only its shape matters,
            and of the batch the first element is taken.
        name: what the model is called in generated code.

    Returns: a verified float Graph. 4-D inputs are NHWC. 4-D outputs are too, or in the module's own order where they
        lie in it (permute, matmul, a softmax over height or width): `notes` says which, for each.
    Raises: UnsupportedError listing everything unsupported at once, or saying why torch.export failed; DataError for an
        example that is not made of float tensors; ToolError without PyTorch.
    """
    torch = torch_package()
    examples = example if isinstance(example, tuple | list) else (example,)
    for k, x in enumerate(examples):
        if not isinstance(x, torch.Tensor) or not x.is_floating_point() or x.dim() < 1 or x.shape[0] < 1:
            found = f"{x.dtype}{tuple(x.shape)}" if isinstance(x, torch.Tensor) else type(x).__name__
            raise DataError(f"example input {k}", f"is {found}", "a float tensor with the batch first")
    still = copy.deepcopy(module).cpu().float().eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's own deprecations
        try:
            inputs = tuple(x[:1].detach().cpu().float() for x in examples)
            program = torch.export.export(still, inputs, strict=False)
        except Exception as e:  # torch.export raises whatever the module's code or its tracer raises
            reason = str(e).strip().splitlines()[0][:300] if str(e).strip() else type(e).__name__
            problem = f"torch.export cannot trace the module: {type(e).__name__}: {reason}"
            raise UnsupportedError(name, [problem], "Make the module pass torch.export.export(module, example)") from e
        return from_exported(program, name)


def from_exported(program: Any, name: str = "model") -> Graph:
    """A torch.export.ExportedProgram (in evaluation mode, batch 1, static shapes) -> Graph; see `load`."""
    torch = torch_package()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if not all(_plain(node) for node in program.graph.nodes):
            # In-place operators become ordinary ones; nothing is decomposed. It takes half a second.
            program = program.run_decompositions({})
        graph, _, _ = translate(program, name)
    return verify(graph, "float")


def _plain(node: Any) -> bool:
    """Whether a node is no operator, or one that has a translation and writes none of its inputs."""
    schema = getattr(node.target, "_schema", None)
    return schema is None or (not schema.is_mutable and schema.name.split("::")[1] in HANDLERS)


def translate(program: Any, name: str) -> tuple[Graph, list[Shape], list[Shape]]:
    """A functional ExportedProgram -> the Graph, and the stored order of dimensions of each input and each output."""
    signature = program.signature if hasattr(program, "signature") else program.graph_signature
    b = Builder()
    env: dict[str, Any] = {}
    problems: list[str] = []
    if signature.buffers_to_mutate:
        changed = ", ".join(sorted(signature.buffers_to_mutate.values()))
        problems.append(f"the module changes its buffers ({changed}) when it runs; pass state as inputs and outputs")
    inputs: list[Value] = []
    outputs: list[Value] = []
    for node in program.graph.nodes:
        if node.op == "placeholder":
            env[node.name] = _placeholder(b, program, node, problems)
            if isinstance(env[node.name], Value):
                inputs.append(env[node.name])
        elif node.op == "call_function":
            env[node.name] = _call(b, node, env, problems)
        elif node.op == "get_attr":
            env[node.name] = Const(str(node.target), getattr(program.graph_module, str(node.target)))
        elif node.op == "output":
            for arg, kind in zip(node.args[0], signature.output_specs, strict=True):
                if kind.kind.name == "USER_OUTPUT":
                    outputs += _output(b, _look_up(arg, env), len(outputs), problems)
    if not problems:
        problems += [f"the module has no {what}" for what, vs in (("input", inputs), ("output", outputs)) if not vs]
    if problems:
        raise UnsupportedError(name, problems, "`intaglio ops` lists the operators there are")
    graph = b.graph(name, inputs, outputs)
    return graph, [v.perm for v in inputs], [v.perm for v in outputs]


def _placeholder(b: Builder, program: Any, node: Any, problems: list[str]) -> Value | Const | None:
    spec = next(s for s in program.graph_signature.input_specs if getattr(s.arg, "name", None) == node.name)
    if spec.kind.name in ("PARAMETER", "BUFFER"):
        found = program.state_dict.get(spec.target, program.constants.get(spec.target))
        return Const(spec.target, found)
    if spec.kind.name == "CONSTANT_TENSOR":
        return Const(spec.target, program.constants[spec.target])
    value = node.meta.get("val")
    if not hasattr(value, "shape"):
        problems.append(f"input {node.name}: is {type(value).__name__}; tensors are supported")
        return None
    reason = _unfit(value)
    if reason:
        problems.append(f"input {node.name}: {reason}")
        return None
    return b.input(node.name, tuple(int(n) for n in value.shape))


def _unfit(value: Any) -> str:
    """Why a result or input cannot be a tensor of a Graph, or an empty string."""
    if not all(isinstance(n, int) for n in value.shape):
        return f"its shape {tuple(str(n) for n in value.shape)} is dynamic; export with static shapes"
    if str(value.dtype) != "torch.float32":
        return f"its dtype is {value.dtype}; torch.float32 is supported"
    if any(n < 1 for n in value.shape):
        return f"its shape {tuple(value.shape)} has no elements"
    return ""


def _call(b: Builder, node: Any, env: dict[str, Any], problems: list[str]) -> Any:
    """The value of one call; None, after noting why, where it is not supported or rests on what is not."""
    if node.target is operator.getitem:
        source = _look_up(node.args[0], env)
        if source is not None and node.args[1] >= len(source):
            if node.users:
                what = f"uses result {node.args[1]} of {node.args[0].name}"
                problems.append(f"{node.name}: {what}, which serves training only")
            return None
        return None if source is None else source[node.args[1]]
    schema = getattr(node.target, "_schema", None)
    if schema is None:
        problems.append(f"{node.name} ({node.target}): not an ATen operator")
        return None
    args = _bind(schema, node, env)
    flat = [v for a in args.values() for v in (a if isinstance(a, list | tuple) else [a])]
    random = any(tag.name == "nondeterministic_seeded" for tag in node.target.tags)
    computed = random or node.target.namespace != "aten" or any(isinstance(v, Value) for v in flat)
    if not computed and _known(node, env):
        sizes = [v.numel() for v in _listed(node.meta.get("val")) if hasattr(v, "numel")]
        if sum(sizes) > MAX_FOLDED:
            problems.append(f"{node.name} ({node.target}): makes a constant of {sum(sizes)} elements")
            return None
        return _constant(node, args)
    op = node.target._schema.name.split("::")[1]
    handler = HANDLERS.get(op) if node.target.namespace == "aten" else None
    several = isinstance(node.meta.get("val"), list | tuple)
    results = _listed(node.meta.get("val"))
    where = f"{node.name} ({node.target}{_origin(node)})"
    if handler is None:
        remedy = f": {_REMEDIES[op]}" if op in _REMEDIES else ""
        problems.append(f"{where}: no such operator in intaglio{remedy}")
        return None
    if not _known(node, env):
        return None  # reported where it began
    used = results[:1] if op in _FIRST_ONLY else results
    reason = next((r for r in map(_unfit, used) if r), "")
    if reason:
        problems.append(f"{where}: {reason}")
        return None
    shapes = tuple(tuple(int(n) for n in r.shape) for r in used)
    try:
        found = _checked(handler(b, AtenCall(node.name, op, args, shapes)), shapes)
        return (found,) if several and isinstance(found, Value) else found
    except (Refuse, GraphError) as e:
        problems.append(f"{where}: {e}")
        return None


_FIRST_ONLY = ("max_pool2d_with_indices", "adaptive_max_pool2d", "_native_batch_norm_legit_no_training",
               "native_layer_norm", "native_group_norm")  # fmt: skip
"""Operators whose other results (indices, saved statistics) serve training only."""


def _checked(found: Result, shapes: Sequence[Shape]) -> Result:
    values = found if isinstance(found, tuple) else (found,)
    for v, shape in zip(values, shapes, strict=False):
        if v.shape != shape:
            raise Refuse(f"it was translated to the shape {v.shape}, where torch has {shape}; please report this")
    return found


def _listed(v: Any) -> Sequence[Any]:
    return v if isinstance(v, list | tuple) else [v]


def _bind(schema: Any, node: Any, env: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name, with the schema's defaults, and the values of earlier nodes in place of the nodes."""
    bound: dict[str, Any] = {}
    for k, argument in enumerate(schema.arguments):
        if k < len(node.args):
            bound[argument.name] = _look_up(node.args[k], env)
        elif argument.name in node.kwargs:
            bound[argument.name] = _look_up(node.kwargs[argument.name], env)
        else:
            bound[argument.name] = argument.default_value
    return bound


def _look_up(arg: Any, env: dict[str, Any]) -> Any:
    if isinstance(arg, list | tuple):
        return type(arg)(_look_up(a, env) for a in arg)
    return env[arg.name] if hasattr(arg, "meta") and hasattr(arg, "name") else arg


def _known(node: Any, env: dict[str, Any]) -> bool:
    return all(env[n.name] is not None for n in node.all_input_nodes)


def _constant(node: Any, args: dict[str, Any]) -> Any:
    """A call on constants alone is computed by torch, now."""

    def plain(v: Any) -> Any:
        if isinstance(v, Const):
            return v.value
        return [plain(i) for i in v] if isinstance(v, list | tuple) else v

    positional = [plain(args[a.name]) for a in node.target._schema.arguments if not a.kwarg_only]
    keywords = {a.name: plain(args[a.name]) for a in node.target._schema.arguments if a.kwarg_only}
    found = node.target(*positional, **keywords)
    if isinstance(found, list | tuple):
        return [Const(f"{node.name}_{k}", f) for k, f in enumerate(found)]
    return Const(node.name, found)


def _origin(node: Any) -> str:
    """Which submodule a call came from, for messages."""
    stack = node.meta.get("nn_module_stack") or {}
    path = next(reversed(stack.values()), ("",))[0] if stack else ""
    path = str(path).removeprefix("L['self'].")
    return f" in {path}" if path and path != "L['self']" else ""


def _output(b: Builder, v: Any, index: int, problems: list[str]) -> list[Value]:
    if isinstance(v, Const):
        problems.append(f"output {index}: is a constant, whatever the inputs are; leave it out")
        return []
    if not isinstance(v, Value):
        if v is not None or not problems:
            problems.append(f"output {index}: is {type(v).__name__}; tensors are supported")
        return []
    return [b.output(v)]


def torch_package() -> Any:
    try:
        import torch
    except ImportError as e:
        raise missing("torch") from e
    return torch
