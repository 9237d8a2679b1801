"""A .tflite file -> Graph. The flatbuffer is hostile until checked: no length is believed beyond the file's size.

Format: the TFLite schema (tensorflow/compiler/mlir/lite/schema/schema.fbs), read with the `tflite` package. What each
operator means is in ops/: `from_tflite` of the class that claims the builtin operator.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tflite

from ..errors import GraphError, ModelError, UnsupportedError
from ..escape import for_file_name
from ..graph import DTYPES, INT_RANGE, Array, Graph, Node, Quant, Tensor, packed_size, verify
from ..ops import by_tflite
from ..ops.base import Op, Refuse
from ..ops.packing import unpack_flat
from ..ops.tflite_node import OF_BATCH_ONE
from ..ops.tflite_node import TfliteNode as TfliteNode
from ..ops.tflite_node import names as names_of
from ..ops.unsupported import Unsupported, unsupported
from .reading import MAX_NAME, model_bytes
from .tflite_dilated import READS, fuse_dilated
from .tflite_fold import OF_SHAPES, Folder
from .tflite_shapes import fits, sizes, strange
from .tflite_sparse import densify
from .tflite_state import StateReader, initial_values, text

MAX_ELEMENTS = 1 << 28
"""Largest tensor taken: 256 M elements is beyond any board, and keeps a damaged shape from asking for all memory."""
MAX_RANK = 8
MAX_SIGNATURES = 64
TENSOR_BYTES, OPERATOR_BYTES = 24, 16
"""What one takes in a file at the least. Entries that share a table could make a small file take for ever."""
MAX_SHARING = 4
"""How many times the file's size its constants, or its operators' lists, may come to when tensors share them."""
MAX_SPARSE, MAX_SPARSE_BYTES = 100, 1 << 28
"""How many times the file's size its sparse constants may come to as dense ones, and how many bytes."""
MAX_BYTES = (1 << 31) - 1
"""Largest file: a flatbuffer's offsets are signed 32-bit numbers."""
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, UnicodeDecodeError)

BUILTINS = names_of(tflite.BuiltinOperator)
TYPES = names_of(tflite.TensorType)
_DTYPE_OF = {name.upper(): name for name in DTYPES}
_BITS_OF = {tflite.TensorType.INT4: 4, 19: 2}
"""Packed integers, by the number of their type. INT2 is newer in the schema than the `tflite` package."""
_LACKING = {
    "WHILE": "a loop, as Keras writes an LSTM, GRU or RNN layer; no loop is supported (with unroll=True there is none)",
    "BATCH_MATMUL": "a product of two computed tensors, as in attention, is not supported",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "LSTM layers are not supported",
}
"""What to say of operators that many files have."""
_WITH_WEIGHTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
# What a tensor of another type is stood in by, so that inspect can go on; the nodes that touch it are refused.
_STAND_IN = "int8"
_HALF = np.dtype(np.float16)


@contextmanager
def damage(where: str, what: str) -> Iterator[None]:
    """Turn what the flatbuffer accessors raise on a damaged file into a ModelError."""
    try:
        yield
    except _DAMAGE as e:
        raise ModelError(where, f"the file is damaged: cannot read {what} ({e})", "", "Export the model again") from e


def load(path: Path | str) -> Graph:
    """Read a .tflite file.

    Returns: a verified Graph, float or quantized as the file is; a batch of -1 is taken as 1.
    Raises: ModelError for an unreadable or damaged file, UnsupportedError listing everything unsupported at once.
    """
    return checked(read(path), str(path))


def checked(graph: Graph, where: str) -> Graph:
    """A graph as `read` or `parse` gives it, unless it holds something unsupported or contradicts itself.

    Raises: UnsupportedError listing everything at once, ModelError.
    """
    problems = unsupported(graph.nodes)
    if problems:
        raise UnsupportedError(where, problems, "`intaglio ops` lists what is supported")
    try:
        return verify(graph, "float")
    except GraphError as e:
        raise ModelError(where, f"the model contradicts itself: {e}") from e


def read(path: Path | str) -> Graph:
    """Like `load`, but an unsupported node becomes an `Unsupported` operator, for `inspect`."""
    path = Path(path)
    return parse(model_bytes(path, MAX_BYTES, "a .tflite file"), str(path), path.stem)


def parse(data: bytes, where: str, name: str) -> Graph:
    """Read the bytes of a .tflite file; `where` names it in errors."""
    if len(data) < 8 or data[4:8] != b"TFL3":
        found = "is empty" if not data else "is not a TensorFlow Lite model (no TFL3 identifier)"
        raise ModelError(where, found, "a .tflite file", "Check that the download or export finished")
    with damage(where, "the model"):
        model = tflite.Model.GetRootAs(data, 0)
        count = _length(model.SubgraphsLength(), data, where, "subgraphs")
        if count < 1:
            raise ModelError(where, "holds no subgraph")
        _length(model.BuffersLength(), data, where, "buffers")
        _length(model.OperatorCodesLength(), data, where, "operator codes")
        return _Reader(model, data, where).graph(name)


def _length(n: int, data: bytes, where: str, what: str, size: int = 4) -> int:
    if n * size > len(data):
        raise ModelError(where, f"the file is damaged: it claims {n} {what} in {len(data)} bytes")
    return n


class _Reader:
    """Holds what the functions below share while one file is read."""

    def __init__(self, model: Any, data: bytes, where: str) -> None:
        self.model, self.data, self.where = model, data, where
        self.constant_bytes = self.list_entries = self.sparse_bytes = self.name_bytes = 0
        # Of the tensors of the subgraph that is being read, by index:
        self.types: dict[int, str] = {}
        """TFLite's name of the type, "" for one that is unknown."""
        self.packed: dict[int, str] = {}
        """Weights of 4 or 2 bits, by index: the type that they have in the file. Here they are int8 constants."""
        self.half: set[int] = set()
        """Tensors that are float16 constants in the file: weights stored small. Here they are float32 constants."""
        self.sparse: set[int] = set()
        """Tensors that are sparse constants in the file. Here they are dense."""
        self.variable: set[int] = set()
        """Tensors that an operator of the file keeps its state in (LSTM, SVDF)."""
        self.open: dict[int, tuple[int, ...]] = {}
        """Tensors with sizes that the file leaves open: their shapes, -1 for those. A batch is 1; what else is open
        follows from the operators."""
        self.unknown: set[int] = set()
        """Tensors whose shape cannot be known, for their operator is unsupported."""
        self.folder = Folder(where)

    def graph(self, name: str) -> Graph:
        sub = self.model.Subgraphs(0)
        initial = initial_values(self, self.model)
        tensors, foreign = self.tensors(sub)
        inputs = self.indices(sub, "Inputs", len(tensors))
        outputs = self.indices(sub, "Outputs", len(tensors))
        if not inputs or not outputs or -1 in inputs or -1 in outputs:
            raise ModelError(self.where, "the model has no input or no output, or an absent tensor among them")
        if len(set(inputs)) != len(inputs) or any(tensors[i].is_const for i in inputs):
            raise ModelError(self.where, "an input is listed twice or is a constant")
        for i in inputs:
            if -1 in self.open.get(i, ())[1:]:
                foreign[i] = f"dynamic shape {list(self.open[i])}"
                tensors[i] = replace(tensors[i], shape=())
        states = StateReader(initial, self.where, {t.name for t in tensors})
        nodes: list[Node] = []
        for i in range(_length(sub.OperatorsLength(), self.data, self.where, "operators", OPERATOR_BYTES)):
            with damage(self.where, f"operator {i}"):
                node = self.node(i, sub.Operators(i), tensors, foreign, states)
            if node is not None:
                nodes.append(node)
        if any(tensors[i].is_const for i in inputs):
            raise ModelError(self.where, "an input is written by an operator")
        pool = {t.name: t for t in tensors} | {t.name: t for t in states.tensors()}
        # A node that touches one of these is unsupported already, and says why.
        touched = {n for node in nodes for n in (*node.inputs, *node.outputs)}
        left = [i for i in (*inputs, *outputs) if i in foreign and tensors[i].name not in touched]
        if left:
            raise UnsupportedError(self.where, [f"{tensors[i].name}: it has {strange([foreign[i]])}" for i in left])
        graph = Graph(
            identifier(name), (), pool, tuple(tensors[i].name for i in inputs), tuple(tensors[i].name for i in outputs)
        )
        return self.noted(fuse_dilated(graph.with_nodes(nodes)))

    def noted(self, graph: Graph) -> Graph:
        """The graph with a note where the file has further entry points, which are left out."""
        with damage(self.where, "the signatures"):
            count = _length(self.model.SignatureDefsLength(), self.data, self.where, "signatures")
            found = [self.model.SignatureDefs(i) for i in range(min(count, MAX_SIGNATURES))]
            keys = {s.SubgraphIndex(): text(s.SignatureKey(), 100) for s in reversed(found)}
        if len(keys) < 2:
            return graph
        first = keys.pop(0, "the first subgraph")
        note = f"Of the file's signatures this is {first}; left out: {', '.join(keys[k] for k in sorted(keys))}."
        return replace(graph, notes=(*graph.notes, note))

    def node(
        self, i: int, operator: Any, tensors: list[Tensor], foreign: dict[int, str], states: StateReader
    ) -> Node | None:
        builtin = self.builtin(operator)
        ins = self.indices(operator, "Inputs", len(tensors))
        outs = self.indices(operator, "Outputs", len(tensors))
        if -1 in outs:
            raise ModelError(self.where, f"operator {i} ({builtin}) has an absent output")
        state_node = states.node(i, builtin, operator, ins, outs, tensors)
        if state_node is not None:
            return state_node.node
        if builtin == "DENSIFY" and self.densified(ins, outs, tensors, foreign):
            return None
        if builtin == "DEQUANTIZE" and len(ins) == len(outs) == 1 and ins[0] in self.half:
            small, out = tensors[ins[0]], tensors[outs[0]]
            if (out.shape, out.dtype, out.data is None) == (small.shape, "float32", True):
                # Folded here, so that the operators that read it see a constant.
                tensors[outs[0]] = replace(out, data=small.data)
                return None
        node_name = tensors[outs[0]].name if outs else f"{builtin.lower()}_{i}"
        view = TfliteNode(
            node_name,
            builtin,
            tuple(None if k < 0 else tensors[k] for k in ins),
            tuple(tensors[k] for k in outs),
            operator,
            bool(outs) and outs[0] in self.open,
        )
        if self.folded(view, ins, outs, tensors, foreign):
            return None
        names = tuple("" if k < 0 or k in self.variable else tensors[k].name for k in ins)
        op: Op
        if not self.unknown.isdisjoint(ins):
            op = Unsupported(builtin)
        else:
            try:
                op, names = self.operator(view, ins, outs, tensors, foreign)
            except (Refuse, GraphError) as e:
                op = Unsupported(builtin, str(e))
            except (*_DAMAGE, AssertionError, ZeroDivisionError) as e:
                raise ModelError(self.where, f"operator {i} ({builtin}) is damaged: {e or type(e).__name__}") from e
        if isinstance(op, Unsupported):
            self.unknown.update(k for k in outs if -1 in self.open.get(k, ())[1:])
        return Node(node_name, op, names, tuple(tensors[k].name for k in outs))

    def operator(
        self, view: TfliteNode, ins: list[int], outs: list[int], tensors: list[Tensor], foreign: dict[int, str]
    ) -> tuple[Op, tuple[str, ...]]:
        """The operator and the names of its inputs; open shapes of its outputs become what follows. Raises Refuse and
        GraphError for what is unsupported."""
        odd = sorted({foreign[k] for k in (*ins, *outs) if k in foreign})
        if view.builtin not in _WITH_WEIGHTS:
            odd += sorted({f"dtype {self.packed[k]}" for k in (*ins, *outs) if k in self.packed})
        reads = READS.get(view.builtin) or by_tflite().get(view.builtin)
        if reads is None:
            raise Refuse(self.lacking(view, odd))
        if odd:
            raise Refuse(f"it has tensors of {strange(odd)}")
        op, kept = reads.from_tflite(view)
        data = [view.inputs[k] if k < len(ins) else None for k in kept]
        while data and data[-1] is None:
            data.pop()
        found = [(tuple(s), d) for s, d in op.infer(data, view.outputs)]
        declared = [(self.open.get(k, t.shape), t.dtype) for k, t in zip(outs, view.outputs, strict=True)]
        if len(found) != len(declared) or not all(map(fits, found, declared)):
            raise Refuse(f"its outputs are declared {declared} but its inputs and attributes give {found}")
        for k, (shape, _) in zip(outs, found, strict=True):
            if k in self.open:
                if math.prod(shape) > MAX_ELEMENTS:
                    raise Refuse(f"its output has the shape {shape}; {MAX_ELEMENTS} elements at most are supported")
                tensors[k] = replace(tensors[k], shape=shape)
        return op, tuple("" if t is None else t.name for t in data)

    def lacking(self, view: TfliteNode, odd: list[str]) -> str:
        """Why an operator that no class reads is not supported."""
        if view.builtin in _LACKING:
            return _LACKING[view.builtin]
        if any(s.startswith("dynamic shape") for s in odd):
            return f"it has tensors of {strange(odd)}"
        if view.builtin in OF_SHAPES and not all(t is None or t.is_const for t in view.inputs):
            return f"it works out a shape while the model runs; {OF_BATCH_ONE}"
        return "no such operator in intaglio"

    def folded(
        self, view: TfliteNode, ins: list[int], outs: list[int], tensors: list[Tensor], foreign: dict[int, str]
    ) -> bool:
        """Make the outputs of an operator constants where they do not depend on the model's input."""
        if any(tensors[k].data is not None for k in outs):
            return False
        types = [self.types[k] for k in outs]
        sized = self.unknown.isdisjoint(ins) and foreign.keys().isdisjoint(ins)
        results = self.folder.results(view, ins, types, sized)
        if results is None:
            return False
        for k, result in zip(outs, results, strict=True):
            self.folder.values[k] = result
            if result.dtype.name in DTYPES:
                foreign.pop(k, None)
                self.open.pop(k, None)
                dtype: Any = result.dtype.name
                tensors[k] = replace(tensors[k], shape=result.shape, dtype=dtype, data=result)
        return True

    def densified(self, ins: list[int], outs: list[int], tensors: list[Tensor], foreign: dict[int, str]) -> bool:
        """Fold a DENSIFY, whose input was read as a dense constant: its output is that constant."""
        if len(ins) != 1 or len(outs) != 1 or not (tensors[ins[0]].is_const and ins[0] in self.sparse):
            return False
        given, out = tensors[ins[0]], tensors[outs[0]]
        if ins[0] in self.half:
            # A float16 tensor without data is foreign to a Graph; as this constant it is not.
            if foreign.pop(outs[0], "") != "dtype FLOAT16":
                return False
            self.half.add(outs[0])
        elif (out.shape, out.dtype, out.data is None) != (given.shape, given.dtype, True):
            return False
        tensors[outs[0]] = replace(given, name=out.name)
        return True

    def builtin(self, operator: Any) -> str:
        index = operator.OpcodeIndex()
        if not 0 <= index < self.model.OperatorCodesLength():
            raise ModelError(self.where, f"an operator has code {index} of {self.model.OperatorCodesLength()}")
        code = self.model.OperatorCodes(index)
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number == tflite.BuiltinOperator.CUSTOM:
            custom = code.CustomCode()
            return f"CUSTOM {text(custom, 40)}".strip()
        return BUILTINS.get(number, f"BUILTIN_{number}")

    def indices(self, owner: Any, what: str, limit: int) -> list[int]:
        n = _length(getattr(owner, f"{what}Length")(), self.data, self.where, what.lower())
        self.list_entries += n
        if self.list_entries > MAX_SHARING * len(self.data):
            raise ModelError(self.where, "the file is damaged: its operators share their lists of tensors")
        found = [int(getattr(owner, what)(k)) for k in range(n)]
        for k in found:
            if not -1 <= k < limit:
                raise ModelError(self.where, f"the file is damaged: tensor index {k} of {limit}")
        return found

    def tensors(self, sub: Any) -> tuple[list[Tensor], dict[int, str]]:
        """The subgraph's tensors, and by index the type of those that a Graph cannot hold."""
        tensors: list[Tensor] = []
        foreign: dict[int, str] = {}
        for facts in (self.packed, self.half, self.sparse, self.variable, self.open, self.types):
            facts.clear()
        taken: set[str] = set()
        for i in range(_length(sub.TensorsLength(), self.data, self.where, "tensors", TENSOR_BYTES)):
            with damage(self.where, f"tensor {i}"):
                raw = sub.Tensors(i)
                name = text(raw.Name(), MAX_NAME) or f"tensor_{i}"
                self.name_bytes += len(name)
                if self.name_bytes > MAX_SHARING * len(self.data):
                    raise ModelError(self.where, "the file is damaged: its tensors share their names")
                while name in taken:
                    name = f"{name}_{i}"
                taken.add(name)
                self.types[i] = TYPES.get(raw.Type(), "")
                if TYPES.get(raw.Type()) == "FLOAT16" and self.has_data(raw):
                    self.half.add(i)
                if raw.Sparsity() is not None:
                    self.sparse.add(i)
                if raw.IsVariable() and not self.has_data(raw):
                    self.variable.add(i)
                bits = _BITS_OF.get(raw.Type(), 8) if self.has_data(raw) and raw.Quantization() is not None else 8
                if bits < 8:
                    self.packed[i] = f"INT{bits}"
                tensor, odd = self.tensor(raw, name, _HALF if i in self.half else None, bits)
                tensors.append(tensor)
                if odd:
                    foreign[i] = odd
                elif not self.has_data(raw) and -1 in (left := sizes(raw)[1]):
                    self.open[i] = left
        return tensors, foreign

    def has_data(self, raw: Any) -> bool:
        index = raw.Buffer()
        return bool(0 < index < self.model.BuffersLength() and self.model.Buffers(index).DataLength() > 0)

    def tensor(self, raw: Any, name: str, stored: np.dtype[Any] | None = None, bits: int = 8) -> tuple[Tensor, str]:
        """A tensor and, where a Graph cannot hold it, why; `stored` is float16 for a constant that becomes float32,
        and `bits` below 8 are those of packed weights that become int8."""
        here = f"{self.where}, tensor {name}"
        rank = _length(raw.ShapeLength(), self.data, here, "dimensions")
        _length(raw.ShapeSignatureLength(), self.data, here, "dimensions")
        if rank > MAX_RANK:
            return Tensor(name, (), _STAND_IN), f"{rank} dimensions"  # type: ignore[arg-type]
        if self.has_data(raw):
            shape, dynamic = tuple(int(raw.Shape(k)) for k in range(rank)), ""
        else:
            shape, _, dynamic = sizes(raw)
        type_name = TYPES.get(raw.Type(), f"type {raw.Type()}")
        dtype = "float32" if stored else "int8" if bits < 8 else _DTYPE_OF.get(type_name)
        odd = ""
        if dtype is None or (type_name == "INT64" and not self.has_data(raw)):
            # 64 bits are for constants: biases of int16 layers.
            odd, dtype, shape = f"dtype {type_name}", _STAND_IN, ()
        elif dynamic or any(d < 1 for d in shape):
            odd, shape = dynamic or f"dynamic shape {list(shape)}", ()
        elif raw.Sparsity() is not None and not self.has_data(raw):
            odd, shape = "sparse encoding", ()
        elif math.prod(shape) > MAX_ELEMENTS:
            raise ModelError(here, f"has shape {list(shape)}", f"{MAX_ELEMENTS} elements at most")
        if odd:
            return Tensor(name, shape, dtype), odd  # type: ignore[arg-type]
        quant = self.quant(raw, here, dtype, bits)
        if raw.Sparsity() is not None and quant is not None and any(quant.zero_point):
            # What is not stored would be the number 0, which then is not the real number 0.
            return Tensor(name, (), "int8"), "sparse encoding and a zero point other than 0"
        if raw.Sparsity() is not None and bits < 8:
            return Tensor(name, (), "int8"), f"sparse encoding of {bits}-bit values"
        data = self.buffer(raw, here, shape, stored or DTYPES[dtype], bits)
        if data is not None and stored:
            data = data.astype(np.float32)
            data.setflags(write=False)
        return Tensor(name, shape, dtype, quant, data), ""  # type: ignore[arg-type]

    def buffer(self, raw: Any, here: str, shape: tuple[int, ...], dtype: np.dtype[Any], bits: int) -> Array | None:
        index = raw.Buffer()
        if not 0 <= index < self.model.BuffersLength():
            raise ModelError(here, f"refers to buffer {index} of {self.model.BuffersLength()}")
        buffer = self.model.Buffers(index)
        if buffer.Offset() > 1 or buffer.Size() > 1:
            raise UnsupportedError(here, ["its data lies outside the flatbuffer (a model of over 2 GB)"])
        n = buffer.DataLength()
        if index == 0 or n == 0:
            return None
        _length(n, self.data, here, "bytes", 1)
        raw_bytes = np.asarray(buffer.DataAsNumpy(), np.uint8)
        sparse = raw.Sparsity()
        expected = packed_size(math.prod(shape), dtype.itemsize * bits)
        if (n % dtype.itemsize if sparse is not None else n != expected) or raw_bytes.size != n:
            raise ModelError(here, f"has {n} bytes of data", f"{expected} for {dtype}{list(shape)}")
        self.constant_bytes += n
        if self.constant_bytes > MAX_SHARING * len(self.data):
            raise ModelError(self.where, "the file is damaged: too many tensors share the same data")
        if bits < 8:
            data = unpack_flat(raw_bytes, math.prod(shape), bits).reshape(shape)
            data.setflags(write=False)
            return data
        values = np.frombuffer(raw_bytes.tobytes(), dtype)
        if sparse is None:
            return values.reshape(shape)
        self.sparse_bytes += expected
        limit = min(MAX_SPARSE * len(self.data), MAX_SPARSE_BYTES)
        if self.sparse_bytes > limit:
            found = f"has sparse data that would be {expected} bytes as a dense {list(shape)}"
            raise ModelError(here, found, f"{limit} bytes for all of the file's sparse constants")
        dense = densify(sparse, values, shape, here, len(self.data))
        dense.setflags(write=False)
        return dense

    def quant(self, raw: Any, here: str, dtype: str, bits: int = 8) -> Quant | None:
        q = raw.Quantization()
        if q is None or q.ScaleLength() == 0 or dtype == "float32":
            return None
        n = _length(q.ScaleLength(), self.data, here, "scales")
        zn = _length(q.ZeroPointLength(), self.data, here, "zero points", 8)
        scale = tuple(float(v) for v in np.atleast_1d(q.ScaleAsNumpy()))
        zero = tuple(int(v) for v in np.atleast_1d(q.ZeroPointAsNumpy())) if zn else (0,) * n
        zero = zero * n if len(zero) == 1 else zero
        if len(scale) != n or len(zero) != n:
            raise ModelError(here, f"has {n} scales and {len(zero)} zero points", "as many of each")
        if not all(math.isfinite(s) and s > 0 for s in scale):
            bad = next(s for s in scale if not (math.isfinite(s) and s > 0))
            raise ModelError(here, f"has the quantization scale {bad}", "a positive, finite number")
        lo, hi = INT_RANGE[dtype]
        if not all(lo <= z <= hi for z in zero):
            raise ModelError(here, f"has a zero point outside {lo}..{hi}")
        axis = None
        if n > 1:
            axis = int(q.QuantizedDimension())
            dims = [int(raw.Shape(k)) for k in range(raw.ShapeLength())]
            if not 0 <= axis < len(dims) or dims[axis] != n:
                # Old converters give a bias the dimension of its weights; where one alone is as long, it is meant.
                fitting = [k for k, d in enumerate(dims) if d == n]
                if len(fitting) != 1:
                    raise ModelError(here, f"has {n} scales along dimension {axis} of {dims}")
                [axis] = fitting
        return Quant(scale, zero, axis, bits)


def identifier(name: str) -> str:
    """A file name as a C identifier: it prefixes every symbol of the generated code."""
    clean = for_file_name(name, len(name)).strip("_").lower() or "model"
    return clean if not clean[0].isdigit() else f"m_{clean}"
