"""PyTorch's files: .pt2 read without unpickling, state dicts with the module's class; damage and malice refused."""

import io
import json
import os
import pickle
import shutil
import warnings
import zipfile

import numpy as np
import pytest
import torch
from torch import nn
from torch_zoo import IMAGE, Fn, conv, model, seq
from typer.testing import CliRunner

from intaglio.cli import app
from intaglio.errors import DataError, ModelError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.frontends import torch as frontend
from intaglio.frontends import torch_pt2, torch_state

torch.set_num_threads(1)
KINDS = ["residual", "split", "adaptive_max", "shuffle", "arithmetic", "two_outputs", "mlp_bn", "silu"]


def saved(module, example, **more):
    """The bytes of torch.export.save."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(module, (example,), **more), file)
    return file.getvalue()


def rewritten(data, change):
    """The archive with `change(name, bytes)` in place of each member, uncompressed as it was."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as new:
        for info in old.infolist():
            new.writestr(info.filename, change(info.filename, old.read(info)))
    return out.getvalue()


def edited(data, member, change):
    """The archive with a change to the JSON of one member."""

    def swap(name, body):
        if not name.endswith(member):
            return body
        value = json.loads(body)
        change(value)
        return json.dumps(value).encode()

    return rewritten(data, swap)


@pytest.mark.parametrize("name", KINDS)
def test_same_graph_as_the_module(name):
    """The same operators, names and constants as from the module itself."""
    module, shape = model(name)
    want = frontend.load(module, torch.zeros(1, *shape), name)
    found = torch_pt2.parse(saved(module, torch.zeros(1, *shape)), "m.pt2", name)
    assert [(n.name, n.op) for n in found.nodes] == [(n.name, n.op) for n in want.nodes]
    assert list(found.tensors) == list(want.tensors) and (found.inputs, found.outputs) == (want.inputs, want.outputs)
    for key, t in want.tensors.items():
        assert t.data is None or np.array_equal(found.tensors[key].data, t.data)


def test_dynamic_batch_and_views_of_one_storage():
    whole = torch.arange(24.0).reshape(4, 6)
    module = Fn(lambda m, x: (m.c(x).flatten(1) @ m.w).reshape(x.shape[0], -1), c=conv(3, 1, (8, 3)))
    module.register_buffer("w", whole.t()[1:5, ::2])
    module.eval()
    data = saved(module, torch.zeros(3, *IMAGE), dynamic_shapes=(({0: torch.export.Dim.DYNAMIC},),))
    graph = torch_pt2.parse(data, "m.pt2", "m")
    x = torch.randn(1, *IMAGE)
    [found] = run_float(graph, [x.permute(0, 2, 3, 1).contiguous().numpy()])
    np.testing.assert_allclose(found, module(x).detach().numpy(), rtol=1e-5, atol=1e-5)


SMALL = seq(conv(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(96, 2)).eval()


@pytest.fixture(scope="module")
def small():
    return saved(SMALL, torch.zeros(1, *IMAGE))


def first_node(change):
    return lambda value: change(value["graph_module"]["graph"]["nodes"][0])


class Bomb:
    """Unpickled, it writes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(small, tmp_path):
    """Neither the sample inputs, which are a pickle and not needed, nor a weight that says that it is one."""
    bomb = pickle.dumps(Bomb(tmp_path / "boom"))
    assert torch_pt2.parse(rewritten(small, lambda n, b: bomb if "sample_inputs" in n else b), "m", "m").nodes

    def pickled(value):
        for entry in value["config"].values():
            entry["use_pickle"] = True

    data = edited(rewritten(small, lambda n, b: bomb if "/weight_" in n else b), "weights_config.json", pickled)
    with pytest.raises(ModelError, match="pickled tensor"):
        torch_pt2.parse(data, "m.pt2", "m")
    library = io.BytesIO(rewritten(small, lambda n, b: b))
    with zipfile.ZipFile(library, "a") as archive:
        archive.writestr(f"{archive.namelist()[0].split('/')[0]}/data/aotinductor/model/x.so", b"")
    with pytest.raises(ModelError, match="AOTInductor"):
        torch_pt2.parse(library.getvalue(), "m.pt2", "m")
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    "target",
    ["torch.ops.aten.from_file.default", "torch.ops.aten.save.default", "os.system", "torch.ops.prim.device.default",
     "torch.ops.higher_order.cond", "torch.ops.aten.__class__.default", "torch.ops.aten.relu.no_such_overload"],
)  # fmt: skip
def test_only_operators_with_a_translation_are_called(small, target):
    data = edited(small, "models/model.json", first_node(lambda n: n.update(target=target)))
    with pytest.raises(UnsupportedError, match="no such operator"):
        torch_pt2.parse(data, "m.pt2", "m")


def test_claims_are_checked(small):
    def sizes(numbers, key="sizes"):
        def change(value):
            entry = value["config"]["0.weight"]
            entry["tensor_meta"][key] = [{"as_int": n} for n in numbers]

        return lambda: edited(small, "weights_config.json", change)

    for make in (sizes([4, 3, 3, 1 << 40]), sizes([1 << 20, 1 << 20, 1, 1]), sizes([4, 3, -3, 3]), sizes([4, 3]),
                 sizes([0, 0, 0, 1 << 40], "strides"), sizes([1 << 33, 9, 3, 1], "strides")):  # fmt: skip
        with pytest.raises((ModelError, UnsupportedError)):
            torch_pt2.parse(make(), "m.pt2", "m")
    outside = edited(small, "weights_config.json", lambda v: v["config"]["0.weight"].update(path_name="../../secret"))
    with pytest.raises(ModelError, match="damaged"):
        torch_pt2.parse(outside, "m.pt2", "m")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/archive_format", b"pt2")
    with pytest.raises(ModelError, match="compressed"):
        torch_pt2.parse(packed.getvalue(), "m.pt2", "m")
    for data in (b"", b"PK\3\4", small[:2000], pickle.dumps({})):
        with pytest.raises(ModelError):
            torch_pt2.parse(data, "m.pt2", "m")


def huge():
    """A constant of 4 TB, made by the program."""
    module = Fn(lambda m, x: x + torch.ones(7).sum()).eval()

    def change(value):
        node = next(n for n in value["graph_module"]["graph"]["nodes"] if "ones" in n["target"])
        node["inputs"][0]["arg"] = {"as_ints": [1 << 40]}

    return edited(saved(module, torch.zeros(1, 3)), "models/model.json", change)


def test_no_constant_is_larger_than_it_may_be():
    with pytest.raises(UnsupportedError, match="constant of 1099511627776 elements"):
        torch_pt2.parse(huge(), "m.pt2", "m")


def test_inputs_that_do_not_fit():
    for shape, dtype, said in (((2, 3), torch.float32, "batch is 2"), ((1, 3), torch.int64, "dtype is int64")):
        with pytest.raises(UnsupportedError, match=said):
            torch_pt2.parse(saved(Fn(lambda m, x: x * 2).eval(), torch.zeros(shape, dtype=dtype)), "m.pt2", "m")
    two = saved(conv(3, 2, 1).eval(), torch.zeros(1, *IMAGE), dynamic_shapes=({2: torch.export.Dim.DYNAMIC},))
    with pytest.raises(UnsupportedError, match="dynamic beyond the batch"):
        torch_pt2.parse(two, "m.pt2", "m")


# ---- state dicts -------------------------------------------------------------------------------------------------

NET = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 2))

def broken():
    raise KeyError("no such width")

def leaves():
    raise SystemExit(0)
"""
NAMED = "stray_net:Net"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "stray_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    torch.save(SMALL.state_dict(), "net.pt")
    return tmp_path


def test_state_dict(folder):
    want = frontend.load(SMALL, torch.zeros(1, *IMAGE))
    x = np.random.default_rng(1).normal(size=(1, 8, 6, 3)).astype(np.float32)
    torch.save({"epoch": 3, "state_dict": SMALL.state_dict()}, "checkpoint.pth")
    for name in ("net.pt", "checkpoint.pth"):
        found = torch_state.load(name, NAMED, "1,3,8,6")
        np.testing.assert_array_equal(run_float(found, [x])[0], run_float(want, [x])[0])


@pytest.mark.parametrize(
    ("module", "example", "said"),
    [
        ("stray_net", "1,3,8,6", "package.module:Class"),
        ("stray_net:Missing", "1,3,8,6", "AttributeError"),
        ("stray_net:broken", "1,3,8,6", "no such width"),
        ("stray_net:leaves", "1,3,8,6", "SystemExit"),
        ("no_such_module_here:Net", "1,3,8,6", "ModuleNotFoundError"),
        ("builtins:dict", "1,3,8,6", "makes a dict"),
        (NAMED, "1,3,x", "a shape with the batch first"),
        (NAMED, "1,0", "a shape with the batch first"),
        (NAMED, "100000,100000,100", "268,435,456 elements at most"),
    ],
)
def test_bad_modules(folder, module, example, said):
    with pytest.raises(DataError, match=said):
        torch_state.load("net.pt", module, example)


def test_bad_state_dicts(folder):
    torch.save(SMALL, "whole.pt")
    torch.save({"bomb": Bomb(folder / "boom")}, "bomb.pt")
    torch.save([1, 2], "list.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated
        torch.jit.save(torch.jit.trace(SMALL, torch.zeros(1, *IMAGE)), "script.pt")
    torch.save(nn.Linear(3, 2).state_dict(), "other.pt")
    torch.save(SMALL.state_dict(), "old.pt", _use_new_zipfile_serialization=False)
    for name, said in {"whole": "more than tensors", "bomb": "more than tensors", "list": "other things than tensors",
                       "other": "does not fit", "old": "no zip archive", "script": "TorchScript"}.items():  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a warning would be a second voice beside the error
            with pytest.raises(ModelError, match=said) as caught:
                torch_state.load(f"{name}.pt", NAMED, "1,3,8,6")
        assert "\x1b" not in str(caught.value)
    assert not (folder / "boom").exists()


def test_command_line(folder):
    (folder / "net.pt2").write_bytes(saved(SMALL, torch.zeros(1, *IMAGE)))
    x = np.random.default_rng(2).normal(size=(5, 8, 6, 3)).astype(np.float32)
    np.savez("x.npz", x=x)
    np.savez("labelled.npz", x=x, y=np.arange(5) % 2)
    how = ("--module", NAMED, "--example", "1,3,8,6")

    def call(*args):
        result = CliRunner().invoke(app, [str(a) for a in args])
        return result.exit_code, result.output

    tables = [call("inspect", "net.pt2"), call("inspect", "net.pt", *how)]
    assert tables[0][0] == tables[1][0] == 0 and "conv2d" in tables[0][1]
    assert ": memory order (0, 2, 3, 1) of the module's (1, 3, 8, 6)" in tables[0][1]
    for name, more in (("net.pt2", ()), ("net.pt", how)):
        board = ("--board", "host", "--no-build", "-o", "out")
        status, said = call("compile", name, *more, "--calibrate", "x.npz", *board)
        assert status == 0, said
        assert (folder / "out" / "net.c").is_file()
        assert call("quantize", name, *more, "--calibrate", "x.npz", "-o", "q.tflite")[0] == 0
        assert call("export", name, *more, "--tflite", "f.tflite")[0] == 0
        assert call("evaluate", name, *more, "--data", "labelled.npz")[0] == 0
        if shutil.which("gcc"):
            status, said = call("run", name, *more, "--board", "host", "--inputs", "x.npz", "--outputs", "y.npz")
            assert status == 0, said
            [y] = np.load("y.npz").values()
            want = SMALL(torch.tensor(x.transpose(0, 3, 1, 2))).detach()
            np.testing.assert_allclose(y, want, atol=1e-5)
            assert call("profile", name, *more, "--board", "host", "--inputs", "x.npz")[0] == 0
    for args, said in {("net.pt",): "--module package.module:Class", ("net.pt", *how[:2]): "--example: is missing",
                       ("net.pt2", *how): "a state dict"}.items():  # fmt: skip
        result = CliRunner().invoke(app, ["inspect", *args])
        assert result.exit_code == 1 and said in " ".join(result.stderr.split())
