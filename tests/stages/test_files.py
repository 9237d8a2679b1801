"""Whole or not at all: files, folders, and the .npz files that come from outside."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from intaglio import arrays, boards, files, prepare
from intaglio.errors import DataError, OutputError
from intaglio.graph import constant
from intaglio.manifest import Port

INT8 = Port(name="in", shape=(1, 2, 3), dtype="int8", scale=0.5, zero_point=10)
FLOAT = Port(name="f", shape=(1, 4), dtype="float32")


def never(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir()]


# ---- files and folders ------------------------------------------------------------------------------------------


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path):
    target = tmp_path / "a.json"
    target.write_text("old")
    files.write_file(target, b"new")
    assert target.read_bytes() == b"new" and os.listdir(tmp_path) == ["a.json"]


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.write_file(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"
    files.write_file(Path("/dev/null"), b"gone")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("bad", ["missing/a.json", "folder"])
def test_a_file_that_cannot_be_written(tmp_path, bad):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "kept").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_file(tmp_path / bad, b"x")
    assert os.listdir(tmp_path) == ["folder"] and os.listdir(tmp_path / "folder") == ["kept"]


def test_an_input_is_not_overwritten(tmp_path):
    target = tmp_path / "x.npz"
    target.write_text("input")
    with pytest.raises(OutputError, match="is an input"):
        files.write_file(tmp_path / "." / "x.npz", b"output", keep=(target,))
    assert target.read_text() == "input"


def test_a_folder_appears_when_it_is_done(tmp_path):
    target = tmp_path / "deep" / "out"
    with files.new_folder(target, never) as part:
        (part / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1" and os.listdir(target.parent) == ["out"]


def test_a_folder_that_fails_leaves_nothing(tmp_path):
    def interrupted():
        with files.new_folder(tmp_path / "deep" / "out", never) as part:
            (part / "a").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == []


def test_what_is_there_is_replaced_only_when_it_may_be(tmp_path):
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(OutputError, match="other files"), files.new_folder(tmp_path, never):
        raise AssertionError("the block must not run")
    with pytest.raises(OutputError, match="not a folder"), files.new_folder(tmp_path / "mine", never):
        raise AssertionError("the block must not run")
    assert (tmp_path / "mine").read_text() == "kept"
    old = tmp_path / "old"
    old.mkdir()
    (old / "a").write_text("old")
    with pytest.raises(ZeroDivisionError), files.new_folder(old, lambda _: []):
        raise ZeroDivisionError
    assert (old / "a").read_text() == "old"
    with files.new_folder(old, lambda _: []) as part:
        (part / "b").write_text("new")
    assert os.listdir(old) == ["b"] and sorted(os.listdir(tmp_path)) == ["mine", "old"]


# ---- arrays -----------------------------------------------------------------------------------------------------


def batch(x, port=INT8, key="x"):
    return arrays.batch({key: np.asarray(x)}, [port], "data")


def test_integers_pass_through_with_or_without_the_batch_axis():
    x = np.arange(-6, 6, dtype=np.int8).reshape(2, 2, 3)
    for given in (x, x.reshape(2, 1, 2, 3)):
        found = batch(given)
        assert not found.floats and found.arrays[0].shape == (2, 1, 2, 3)
        assert np.array_equal(found.arrays[0].ravel(), x.ravel())


def test_floats_are_quantized_halves_away_from_zero_and_clipped():
    x = np.array([0.25, -0.25, 0.24, 1000.0, -1000.0, 0.75], np.float64).reshape(1, 2, 3)
    found = batch(x)
    assert found.floats and found.arrays[0].ravel().tolist() == [11, 9, 10, 127, -128, 12]
    assert arrays.dequantize(found.arrays[0], INT8).ravel().tolist()[:3] == [0.5, -0.5, 0.0]
    assert batch(np.ones((1, 4), np.float16), FLOAT, "f").floats


def test_a_half_just_below_stays_below():
    port = Port(name="x", shape=(1,), dtype="int8", scale=1.0, zero_point=0)
    assert batch(np.array([[0.49999997]], np.float32), port).arrays[0].item() == 0


NAMES = ["a", "b"]


@pytest.mark.parametrize(
    ("names", "present", "want"),
    [
        (NAMES, ["b", "y", "a"], ["a", "b"]),
        (NAMES, ["1", "0"], ["0", "1"]),
        (NAMES, ["x1", "x0"], ["x0", "x1"]),
        (["in"], ["x"], ["x"]),
        (["in"], ["0", "y"], ["0"]),
        (["in"], ["x0"], ["x0"]),
        (["1", "0"], ["0", "1"], ["1", "0"]),
        (["x1", "b"], ["0", "1"], ["0", "1"]),
    ],
)
def test_inputs_go_by_name_or_by_position(names, present, want):
    assert arrays.keys("data", present, names) == want


@pytest.mark.parametrize(
    ("names", "present", "said"),
    [
        (NAMES, ["a", "1"], "holds no array b; it holds 1, a. Allowed: a, b; or by position: 0, 1, or x0, x1"),
        (NAMES, ["x"], "no array a and none b"),
        (["in"], ["y"], "Allowed: in or x; or by position: 0, or x0"),
        (["x1", "b"], ["x0", "x1"], "x1 is the name of another input"),
        (["1", "b"], ["0", "1"], "1 is the name of another input"),
    ],
)
def test_neither_names_nor_positions(names, present, said):
    with pytest.raises(DataError, match=said):
        arrays.keys("data", present, names)


def test_outputs_lose_the_leading_dimension(tmp_path):
    """(n, 10) beside labels of (n,): with (n, 1, 10) a comparison would broadcast to (n, n)."""
    shapes = {"a": (1, 10), "b": (4, 3), "c": (1,), "d" * 900: ()}
    ports = [Port(name=name, shape=shape, dtype="int8") for name, shape in shapes.items()]
    arrays.save(tmp_path / "y.npz", [np.zeros((5, *p.shape), np.int8) for p in ports], ports)
    with np.load(tmp_path / "y.npz") as found:
        assert [found[p.name].shape for p in ports] == [(5, 10), (5, 4, 3), (5,), (5,)]
        assert (found["a"].argmax(1) == np.zeros(5)).shape == (5,)


def test_names_that_a_zip_file_cannot_hold_become_positions(tmp_path):
    ports = [Port(name=n, shape=(1, 2), dtype="int8") for n in ("a", "b" * 70_000)]
    arrays.save(tmp_path / "y.npz", [np.zeros((5, 1, 2), np.int8)] * 2, ports)
    with np.load(tmp_path / "y.npz") as found:
        assert found.files == ["a", "y1"]


def test_a_vector_of_one_number_a_sample():
    port = Port(name="x", shape=(1,), dtype="int8")
    for x in (np.arange(3, dtype=np.int8), np.arange(3, dtype=np.int8)[:, None]):
        assert batch(x, port).arrays[0].tolist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("x", "port", "words"),
    [
        (np.zeros((2, 3, 2), np.int8), INT8, "shape"),
        (np.zeros(6, np.int8), INT8, "shape"),
        (np.int8(3), INT8, "shape"),
        (np.zeros((0, 2, 3), np.int8), INT8, "at least one"),
        (np.zeros((1, 2, 3), np.uint8), INT8, "dtype"),
        (np.zeros((1, 2, 3), bool), INT8, "dtype"),
        (np.zeros((1, 2, 3), np.complex64), INT8, "dtype"),
        (np.zeros((1, 4), np.int8), FLOAT, "dtype"),
        (np.full((1, 2, 3), np.nan), INT8, "nan"),
        (np.full((1, 4), -np.inf, np.float32), FLOAT, "inf"),
    ],
)
def test_arrays_that_do_not_fit(x, port, words):
    with pytest.raises(DataError, match=words):
        batch(x, port)


def test_names():
    two = [INT8, FLOAT]
    given = {"in": np.zeros((2, 2, 3), np.int8), "f": np.zeros((2, 4), np.float32), "labels": np.zeros(2)}
    assert len(arrays.batch(given, two, "data")) == 2
    with pytest.raises(DataError, match="no array f"):
        arrays.batch({"in": given["in"], "x": given["f"]}, two, "data")
    with pytest.raises(DataError, match="2 of in, 1 of f"):
        arrays.batch({**given, "f": given["f"][:1]}, two, "data")


def test_npz_round_trip_is_the_same_bytes(tmp_path):
    ports = [INT8, Port(name="file", shape=(1, 2), dtype="int32"), Port(name="a/b:0", shape=(1,), dtype="float32")]
    values = [np.ones((2, 1, 2, 3), np.int8), np.full((2, 1, 2), -7, np.int32), np.full((2, 1), 0.5, np.float32)]
    for name in ("1.npz", "2.npz"):
        arrays.save(tmp_path / name, values, ports)
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()
    with np.load(tmp_path / "1.npz") as found:
        assert sorted(found.files) == ["a/b:0", "file", "in"]
    again = arrays.batch(arrays.load(tmp_path / "1.npz", ports), ports, "again")
    assert all(np.array_equal(a, b) for a, b in zip(again.arrays, values, strict=True))
    arrays.save(tmp_path / "3.npz", values[:1], ports[:1])
    with np.load(tmp_path / "3.npz") as found:
        assert found.files == ["y"]


def npy(header: str, data: bytes = b"") -> bytes:
    padded = header.encode() + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + data


HOSTILE = {
    "claims more than it has": npy("{'descr': '|i1', 'fortran_order': False, 'shape': (100, 2, 3), }", b"\0" * 6),
    "has more than it claims": npy("{'descr': '|i1', 'fortran_order': False, 'shape': (1, 2, 3), }", b"\0" * 60),
    "claims terabytes": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999, 2, 3), }"),
    "negative": npy("{'descr': '|i1', 'fortran_order': False, 'shape': (-1, 2, 3), }", b"\0" * 6),
    "objects": npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", b"\x80\x04N."),
    "text": npy("{'descr': '<U3', 'fortran_order': False, 'shape': (1, 2, 3), }", b"\0" * 72),
    "no header": b"\x93NUMPY\x01\x00",
    "not Python": npy("{'descr': ["),
    "not an array": b"hello",
    "a version of tomorrow": b"\x93NUMPY\x09\x00" + b"\0" * 60,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_npz(tmp_path, kind):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", HOSTILE[kind])
    with pytest.raises(DataError, match=r"x\.npz"):
        arrays.batch(arrays.load(path, [INT8]), [INT8], str(path))


def test_not_an_npz(tmp_path):
    plain = io.BytesIO()
    np.save(plain, np.zeros((1, 2, 3), np.int8))
    whole = io.BytesIO()
    np.savez_compressed(whole, x=np.random.default_rng(0).integers(0, 9, (999, 2, 3)).astype(np.int8))
    cases = [b"", b"text", plain.getvalue(), whole.getvalue()[:-100], whole.getvalue()[50:]]
    damaged = bytearray(whole.getvalue())
    damaged[200:260] = b"\xff" * 60
    for case in (*cases, bytes(damaged)):
        (tmp_path / "x.npz").write_bytes(case)
        with pytest.raises(DataError, match=r"x\.npz"):
            arrays.load(tmp_path / "x.npz", [INT8])
    for path in (tmp_path, tmp_path / "missing.npz"):
        with pytest.raises(DataError, match="cannot be read"):
            arrays.load(path, [INT8])


def test_random_inputs_are_seeded_and_cover_the_range():
    a, b = (arrays.random_batch([INT8, FLOAT], 400, seed=3) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(a.arrays, b.arrays, strict=True))
    assert a.arrays[0].min() == -128 and a.arrays[0].max() == 127 and a.arrays[1].dtype == np.float32


def test_two_graphs_of_one_name_are_built_apart(monkeypatch, tmp_path):
    """Programs that measure variants of a model at the same time must not run each other's firmware."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    host = boards.load("host")
    first, second = tiny_models.floats(), tiny_models.floats()
    second.tensors["w"] = constant("w", second.tensors["w"].data * 2)
    with prepare.prepared(None, host, first) as a, prepare.prepared(None, host, second) as b:
        assert a.elf != b.elf and a.elf.is_file() and b.elf.is_file()
    with prepare.prepared(None, host, first) as again:
        assert again.elf == a.elf
    monkeypatch.setattr(prepare, "KEPT", 1)
    with prepare.prepared(None, host, first):
        pass
    assert list((tmp_path / "intaglio" / "firmware").glob("*.elf")) == [a.elf]  # the newest
