"""Hostile ONNX files: damage is named, nothing huge is allocated, external data stays in the model's folder."""

import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import build, node, rng_array

from intaglio import pipeline
from intaglio.errors import ModelError
from intaglio.frontends import onnx as frontend


def with_tensor(**fields):
    """x + w, and what its initializer is to say instead."""
    made = build([node("Add", "x w", "y")], {"x": [1, 4]}, {"y": [1, 4]}, {"w": rng_array(1, 4)})
    data = onnx.load_model_from_string(made)
    t = data.graph.initializer[0]
    for key, value in fields.items():
        if isinstance(value, list):
            t.ClearField(key)
            getattr(t, key).extend(value)
        else:
            setattr(t, key, value)
    return data


DAMAGED = {
    "empty": b"",
    "cannot be decoded": b"\xff" * 40,
    "no nodes": onnx.ModelProto(ir_version=9).SerializeToString(),
    "nothing before it computes": build([node("Relu", "nowhere", "y")], {"x": [1, 4]}, {"y": [1, 4]}),
    "exists already": build([node("Relu", "x", "x")], {"x": [1, 4]}, {"x": [1, 4]}),
    "computed by no node": build([node("Relu", "x", "y")], {"x": [1, 4]}, {"z": [1, 4]}),
    "100,000,000,000 bytes": with_tensor(dims=[25_000_000_000]).SerializeToString(),
    "none negative": with_tensor(dims=[-4]).SerializeToString(),
    "16 for float32": with_tensor(raw_data=b"123").SerializeToString(),
}


@pytest.mark.parametrize("said", DAMAGED)
def test_damage_is_named(said):
    with pytest.raises(ModelError, match=re.escape(said)):
        frontend.parse(DAMAGED[said], "m.onnx", "m")


def external(tmp_path, location, **entries):
    data = with_tensor(data_location=TensorProto.EXTERNAL)
    t = data.graph.initializer[0]
    t.ClearField("raw_data")
    for key, value in {"location": location, **entries}.items():
        t.external_data.add(key=key, value=str(value))
    (tmp_path / "m").mkdir(exist_ok=True)
    (tmp_path / "m" / "model.onnx").write_bytes(data.SerializeToString())
    return tmp_path / "m" / "model.onnx"


def test_external_data(tmp_path):
    values = rng_array(2, 6)
    path = external(tmp_path, "sub/weights.bin", offset=8, length=16)
    (path.parent / "sub").mkdir()
    (path.parent / "sub" / "weights.bin").write_bytes(values.tobytes())
    graph = pipeline.load(path)
    [k] = [t for t in graph.tensors.values() if t.is_const]
    np.testing.assert_array_equal(k.data.ravel(), values[2:])
    for entries in ({"offset": 16}, {"offset": -8}, {"length": 12}, {"offset": "x"}, {"length": 10**30}):
        with pytest.raises(ModelError):
            pipeline.load(external(tmp_path, "sub/weights.bin", **entries))


OUTSIDE = ["../secret", "sub/../../secret", "/etc/passwd", "link", "linked/secret", "", "C:\\x", "missing", ".", "a\0b"]


@pytest.mark.parametrize("location", OUTSIDE)
def test_external_data_stays_in_the_folder(location, tmp_path):
    path = external(tmp_path, location, length=16)
    (tmp_path / "secret").write_bytes(bytes(64))
    (path.parent / "sub").mkdir()
    (path.parent / "link").symlink_to(tmp_path / "secret")
    (path.parent / "linked").symlink_to(tmp_path)
    with pytest.raises(ModelError, match=r"refers to the file|damaged"):
        pipeline.load(path)
    with pytest.raises(ModelError):  # bytes without a folder have no external data
        frontend.parse(path.read_bytes(), "m.onnx", "m")
