"""An .onnx file -> Graph: float, or quantized where the file is (QDQ and QLinear models).

Operator sets 11 to 22. onnx_file.py reads the file and believes nothing; onnx_ops.py, onnx_conv.py and onnx_quant.py
translate operators; onnx_fold.py computes what rests on constants and shapes alone. Layouts change once, at the door,
as for PyTorch: a 4-D input (n, c, h, w) of the model is an input [1][h][w][c] of the Graph, and so are 4-D outputs but
for those that come to lie in the model's own order; see layout.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import GraphError, ModelError, UnsupportedError
from ..graph import Graph, Node, Quant, Tensor, verify
from ..ops.base import Refuse
from ..ops.quantize import Quantize
from ..ops.unsupported import Unsupported, unsupported
from ..quantize.marked import is_marked, quantize_marked
from . import onnx_norm, onnx_quant
from .layout import Builder, Const, Shape, Value
from .onnx_file import DAMAGE, MAX_BYTES, Foreign, OnnxInput, OnnxModel, OnnxNode, clean, decode
from .onnx_fold import fold
from .onnx_idioms import DOMAIN, with_idioms
from .onnx_ops import OnnxCall
from .onnx_quant import FLOAT, MOVES, Codes, merge_copies
from .reading import model_bytes
from .tflite import MAX_ELEMENTS, checked, identifier

OPSETS = range(11, 23)
"""Versions of the default operator set that are read."""
MAX_ENDS = 256
"""Inputs, and outputs, of a model."""
MAX_FOLDED_IN_ALL = 1 << 25
"""Elements of all folded constants together."""
_REMEDIES = {
    "LogSoftmax": "leave it out of the exported model: the largest logit is the same",
    "Mish": "use Gelu, HardSwish, or x * Sigmoid(x)",
    "Softplus": "use Relu or Elu",
    "DynamicQuantizeLinear": "quantize statically, with calibration data, instead of dynamically",
    "MatMulInteger": "quantize statically, with calibration data, instead of dynamically",
    "ConvInteger": "quantize statically, with calibration data, instead of dynamically",
}


def load(path: Path | str) -> Graph:
    """Read an .onnx file.

    Returns: a verified Graph, float or quantized as the file is; a dynamic batch is 1. 4-D inputs are NHWC. 4-D outputs
        are too, or in the model's own order where they lie in it (Transpose, MatMul, a Softmax over height or width):
        `notes` says which, for each.
    Raises: ModelError for an unreadable or damaged file, UnsupportedError listing everything unsupported at once,
        ToolError without the onnx package.
    """
    return checked(read(path), str(path))


def read(path: Path | str) -> Graph:
    """Like `load`, but an unsupported node becomes an `Unsupported` operator, for `inspect`."""
    path = Path(path)
    return translated(model_bytes(path, MAX_BYTES, "an .onnx file"), str(path), path.stem, path.parent)


def parse(data: bytes, where: str, name: str, folder: Path | None = None) -> Graph:
    """`load` on the bytes of a file; `where` names it in errors, and external data may lie under `folder`."""
    return checked(translated(data, where, name, folder), where)


def translated(data: bytes, where: str, name: str, folder: Path | None = None) -> Graph:
    """`read` on the bytes of a file. A Graph that holds `Unsupported` operators is left as far as it could be built:
    what rests on them is there by name alone, unless the file states the shapes between."""
    model = with_idioms(decode(data, where, folder))
    if model.opset not in OPSETS:
        wanted = f"{OPSETS[0]} to {OPSETS[-1]} are read"
        remedy = "Export again with one of these, or use onnx.version_converter"
        raise UnsupportedError(where, [f"it uses operator set {model.opset}; {wanted}"], remedy)
    if max(len(model.inputs), len(model.outputs)) > MAX_ENDS:
        found = f"it has {len(model.inputs)} inputs and {len(model.outputs)} outputs; {MAX_ENDS} of each are supported"
        raise UnsupportedError(where, [found])
    graph, unsigned = _Translation(model).graph(identifier(name), where)
    if not is_marked(graph) or any(isinstance(n.op, Unsupported) for n in graph.nodes):
        # Weights alone may be stored as integers: they are the floats that those stand for.
        return replace(graph, tensors={n: replace(t, quant=None) for n, t in graph.tensors.items()})
    try:
        return _with_unsigned(quantize_marked(graph), unsigned)
    except GraphError as e:
        raise ModelError(where, f"the model contradicts itself: {e}") from e


class _Translation:
    """One model on its way: the values of its names so far, None for what could not be made, and why."""

    def __init__(self, model: OnnxModel) -> None:
        self.model = model
        self.b = Builder()
        self.env: dict[str, Any] = {}
        self.problems: list[str] = []
        """What is wrong with the model's inputs and outputs; what is wrong with a node is kept in its place."""
        self.folded = 0

    def graph(self, name: str, where: str) -> tuple[Graph, set[str]]:
        """The float Graph, marked where the model is quantized, and the names of its uint8 inputs and outputs."""
        for key, data in self.model.constants.items():
            self.env[key] = data if isinstance(data, Foreign) else Const(clean(key) or "constant", data)
        inputs = [v for i in self.model.inputs if (v := self.input(i)) is not None]
        for node in self.model.nodes:
            self.node(node, where)
        outputs = [v for o in self.model.outputs if (v := self.output(o, where)) is not None]
        merged = merge_copies(self.b, *({_plain(v).name for v in ends} for ends in (inputs, outputs)))
        for copy, source in merged.items():
            outputs = [_renamed(v, copy, source) for v in outputs]
        refused = unsupported(self.b.nodes)
        incomplete = any(isinstance(n.op, Unsupported) for n in self.b.nodes)
        if self.problems:
            raise UnsupportedError(where, [*self.problems, *refused], "`intaglio ops` lists the operators there are")
        if not inputs:
            raise ModelError(where, "the model has no inputs", "one or more")
        if not incomplete:
            outputs = self.named(outputs)
        unsigned = {v.value.name for v in (*inputs, *outputs) if isinstance(v, Codes) and v.dtype == "uint8"}
        ins, outs = ([_plain(v) for v in vs] for vs in (inputs, outputs))
        graph = self.b.graph(name, ins, outs)
        if any(isinstance(v, Codes) for v in (*inputs, *outputs)) and not is_marked(graph) and not incomplete:
            raise UnsupportedError(where, ["it takes or gives integers, and nothing says what numbers they stand for"])
        try:
            return verify(graph, "float"), unsigned
        except GraphError as e:
            raise ModelError(where, f"the model contradicts itself: {e}") from e

    def input(self, i: OnnxInput) -> Value | Codes | None:
        reason, shape = _input_shape(i)
        self.env[i.name] = None
        if reason:
            self.problems.append(f"input {clean(i.name)}: {reason}")
            return None
        value = self.b.input(clean(i.name) or "input", shape)
        self.env[i.name] = value if i.dtype == "float32" else Codes(value, i.dtype, None)
        return self.env[i.name]  # type: ignore[no-any-return]

    def output(self, name: str, where: str) -> Value | Codes | None:
        if name not in self.env:
            raise ModelError(where, f"the output {clean(name)!r} is computed by no node")
        found = self.env[name]
        if found is None:
            return None
        if isinstance(found, Foreign):
            self.problems.append(f"output {clean(name)}: {found.reason}")
            return None
        value = found.value if isinstance(found, Codes) else found
        if not isinstance(value, Value):
            self.problems.append(f"output {clean(name)}: is a constant, whatever the inputs are; leave it out")
            return None
        value = self.b.output(value)
        return replace(found, value=value) if isinstance(found, Codes) else value

    def named(self, outputs: list[Value | Codes]) -> list[Value | Codes]:
        """The outputs under the model's own names, where a node writes them."""
        found = list(outputs)
        for k, key in enumerate(self.model.outputs):
            old, new = _plain(found[k]).name, clean(key)
            written = {n for node in self.b.nodes for n in node.outputs}
            if not new or new == old or old not in written or (new in self.b.tensors and new not in written):
                continue
            for was, name in ((new, self.b.fresh(new)), (old, new)) if new in self.b.tensors else ((old, new),):
                self.b.rename(was, name)
                found = [_renamed(v, was, name) for v in found]
        return found

    def node(self, n: OnnxNode, where: str) -> None:
        here = f"{n.op} ({n.name})"
        for name in n.inputs:
            if name and name not in self.env:
                raise ModelError(where, f"{here} reads {clean(name)!r}, which nothing before it computes")
        for name in n.outputs:
            if name and name in self.env:
                raise ModelError(where, f"{here} computes {clean(name)!r}, which exists already")
        self.env.update(dict.fromkeys((o for o in n.outputs if o), None))
        before = len(self.b.nodes)
        try:
            found, reason = self.result(n), ""
        except (Refuse, GraphError) as e:
            found, reason = None, str(e)
        except DAMAGE as e:
            found, reason = None, f"its attributes and inputs contradict each other ({clean(str(e), 200)})"
        if found is None:
            del self.b.nodes[before:]
            self.placeholder(n, reason)
        else:
            self.env.update((o, v) for o, v in zip(n.outputs, found, strict=False) if o)
            more = Foreign(f"it is a further result of {here}, which is not computed")
            self.env.update((o, more) for o in n.outputs[len(found) :] if o)

    def placeholder(self, n: OnnxNode, reason: str) -> None:
        """A node that is refused, or (without a reason) rests on one that is, so that it can be shown in its place.
        Its results can be used where the file states their shapes."""
        outs: list[str] = []
        for name in n.outputs:
            stated = self.model.stated.get(name)
            if stated is None or stated.dtype != "float32" or _input_shape(stated)[0]:
                continue
            value = self.b.input(clean(name) or n.op, _input_shape(stated)[1])
            self.env[name] = value
            outs.append(value.name)
        ins = [_plain(v).name for i in n.inputs if isinstance(v := self.env.get(i), Value | Codes)]
        self.b.nodes.append(Node(n.name, Unsupported(n.op, reason), tuple(ins), tuple(outs)))

    def result(self, n: OnnxNode) -> tuple[Any, ...] | None:
        """The values of a node's outputs; None where it rests on what has been refused already."""
        handler = _handler(n)
        values = [self.env[i] if i else None for i in n.inputs]
        if any(v is None for i, v in zip(n.inputs, values, strict=True) if i):
            return None
        for v in values:
            if isinstance(v, Foreign):
                raise Refuse(v.reason)
        name = clean(next((o for o in n.outputs if o), "")) or n.op
        if all(v is None or isinstance(v, Const) for v in values) and n.op not in onnx_quant.HANDLERS:
            return (self.constant(n, name, values),)
        codes = [v for v in values if isinstance(v, Codes)]
        if codes and not n.domain and n.op in MOVES:
            return self.moved(n, name, values, codes)
        if codes and n.op not in onnx_quant.HANDLERS and n.op not in onnx_quant.MICROSOFT:
            raise Refuse("it computes on quantized integers, which is not supported; dequantize them first")
        found = handler(self.b, OnnxCall(name, n, tuple(values), self.model.opset))
        self.check_sizes()
        return found if isinstance(found, tuple) else (found,)

    def constant(self, n: OnnxNode, name: str, values: list[Const | None]) -> Const:
        if any(v is None for v in values):
            raise Refuse("it computes on constants alone, and one of them is missing")
        found = fold(n, [v.array for v in values if v is not None], self.model.opset)
        self.folded += found.size
        if self.folded > MAX_FOLDED_IN_ALL:
            raise Refuse(f"more than {MAX_FOLDED_IN_ALL} elements would be made of constants")
        only = values[0] if values else None
        keeps = n.op == "Identity" or (n.op in ("Reshape", "Squeeze", "Unsqueeze") and only is not None
                                       and only.quant is not None and only.quant.per_tensor)  # fmt: skip
        if n.op == "Transpose" and only is not None:
            return replace(only.permute(*n.attrs.get("perm", range(only.array.ndim)[::-1])), name=name)
        return Const(name, found, only.quant if only is not None and keeps else None)

    def moved(self, n: OnnxNode, name: str, values: list[Any], codes: list[Codes]) -> tuple[Any, ...]:
        """An operator that only picks or moves elements, on quantized integers."""
        first = codes[0]
        if any((v.dtype, v.quant) != (first.dtype, first.quant) for v in codes) or n.op == "Pad":
            raise Refuse("it moves integers that are quantized differently, or pads them; dequantize them first")
        plain = tuple(v.value if isinstance(v, Codes) else v for v in values)
        found = FLOAT[n.op](self.b, OnnxCall(name, n, plain, self.model.opset))
        results = found if isinstance(found, tuple) else (found,)
        for v in results:
            if isinstance(v, Value) and first.quant is not None:
                _keep_mark(self.b, v.name, first.quant)
        return tuple(Codes(v, first.dtype, first.quant) if isinstance(v, Value) else v for v in results)

    def check_sizes(self) -> None:
        for name in reversed(self.b.tensors):
            t = self.b.tensors[name]
            if t.size > MAX_ELEMENTS:
                raise Refuse(f"it makes a tensor of the shape {t.shape}; {MAX_ELEMENTS} elements are supported")
            if not t.is_const:
                break


def _plain(v: Value | Codes) -> Value:
    return v.value if isinstance(v, Codes) else v


def _renamed(v: Value | Codes, old: str, new: str) -> Value | Codes:
    if isinstance(v, Codes):
        return replace(v, value=replace(v.value, name=new)) if v.value.name == old else v
    return replace(v, name=new) if v.name == old else v


def _keep_mark(b: Builder, name: str, quant: Quant) -> None:
    """Give a tensor the quantization of what it was picked from, where it is not the same tensor."""
    if b.tensors[name].quant is None:
        b.tensors[name] = replace(b.tensors[name], quant=quant)


def _handler(n: OnnxNode) -> Any:
    """What translates a node. Raises Refuse for what nothing translates."""
    for value in n.attrs.values():
        if isinstance(value, Foreign) and "graph" in value.reason:
            raise Refuse(value.reason)
    tables: dict[str, dict[str, Any]] = {
        "": {**FLOAT, **onnx_quant.HANDLERS}, "com.microsoft": onnx_quant.MICROSOFT, DOMAIN: onnx_norm.IDIOMS,
    }  # fmt: skip
    found = tables.get(n.domain, {}).get(n.op)
    if found is None and (n.domain or n.op not in _FOLDED_ONLY):
        domain = f" of the domain {n.domain}" if n.domain else ""
        remedy = f": {_REMEDIES[n.op]}" if n.op in _REMEDIES else ""
        raise Refuse(f"no such operator{domain} in intaglio{remedy}")
    return found or _refuse_computed


_FOLDED_ONLY = (
    "Constant", "ConstantOfShape", "Range", "ReduceProd", "Equal", "Where", "Floor", "Ceil",
)  # fmt: skip
"""Operators that are known on constants alone."""


def _refuse_computed(b: Builder, c: OnnxCall) -> Value:
    raise Refuse("it is supported on constants alone, and here an input is computed at run time")


def _input_shape(i: OnnxInput) -> tuple[str, Shape]:
    """Why an input cannot be one of a Graph, or an empty string; and its shape, with a batch of 1."""
    if i.dtype not in ("float32", "int8", "uint8"):
        return f"its type is {i.dtype or 'no tensor of numbers'}; float32, int8 and uint8 are supported", ()
    if i.shape is None or not 1 <= len(i.shape) <= 6:
        return "its shape is unknown; 1 to 6 dimensions, fixed but for the batch, are supported", ()
    shape = (1 if i.shape[0] in (None, 0, -1) else i.shape[0], *i.shape[1:])
    known = tuple(d for d in shape if d is not None)
    if len(known) != len(shape) or any(d < 1 for d in known):
        return f"its shape {['?' if d is None else d for d in i.shape]} is dynamic; fix all but the batch at export", ()
    if known[0] != 1:
        return f"its batch is {known[0]}; export with a batch of 1, or a dynamic one", ()
    size = 1
    for d in known:
        size *= d
    if size > MAX_ELEMENTS:
        return f"its shape {list(known)} has more than {MAX_ELEMENTS} elements", ()
    return "", known


def _with_unsigned(graph: Graph, unsigned: set[str]) -> Graph:
    """uint8 inputs and outputs as the file has them: a QUANTIZE stands between them and the int8 inside."""
    tensors, before, after = dict(graph.tensors), [], []
    renamed: dict[str, str] = {}
    for name in unsigned & {*graph.inputs, *graph.outputs}:
        t = tensors[name]
        assert t.quant is not None
        outer = f"{name}:uint8"
        tensors[outer] = Tensor(outer, t.shape, "uint8", Quant(t.quant.scale, (t.quant.zero_point[0] + 128,)))
        renamed[name] = outer
        if name in graph.inputs:
            before.append(Node(name, Quantize(), (outer,), (name,)))
        else:
            after.append(Node(outer, Quantize(), (name,), (outer,)))
    inputs, outputs = (tuple(renamed.get(n, n) for n in names) for names in (graph.inputs, graph.outputs))
    graph = replace(graph, tensors=tensors, inputs=inputs, outputs=outputs)
    return verify(graph.with_nodes((*before, *graph.nodes, *after), tensors), "quantized")
