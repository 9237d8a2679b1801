"""What the benchmark of third-party models trusts: files whose SHA-256 is right, and nothing that claims too much."""

from __future__ import annotations

import hashlib
import zipfile

import pytest
import third_party_files
from third_party_files import MAX_BYTES, member, models

DATA = b"a model"
DIGEST = hashlib.sha256(DATA).hexdigest()


def archive(tmp_path, claimed: int | None = None):
    path = tmp_path / "package-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("package/model.tflite", DATA)
    if claimed is not None:
        # The uncompressed size in the archive's directory, which is what a reader believes.
        raw = bytearray(path.read_bytes())
        at = raw.index(b"PK\x01\x02") + 24
        raw[at : at + 4] = claimed.to_bytes(4, "little")
        path.write_bytes(raw)
    return path


def test_a_file_of_a_wheel(tmp_path):
    assert member(archive(tmp_path), "package/model.tflite", DIGEST) == DATA


@pytest.mark.parametrize(
    ("path", "digest", "claimed", "found"),
    [
        ("package/model.tflite", "0" * 64, None, "has the SHA-256"),
        ("package/other.tflite", DIGEST, None, "holds no package/other.tflite"),
        ("package/model.tflite", DIGEST, MAX_BYTES + 1, "claims"),
    ],
)
def test_what_is_refused(tmp_path, path, digest, claimed, found):
    with pytest.raises(SystemExit, match=found):
        member(archive(tmp_path, claimed), path, digest)


def test_the_table_pins_every_file():
    """An exact version, a licence and a whole SHA-256 each; a class for each file that is only weights."""
    listed = models(third_party_files.TABLE)
    assert len({m.package for m in listed}) >= 4 and len({m.path.rsplit(".", 1)[-1] for m in listed}) >= 3
    for m in listed:
        assert m.version and m.licence and m.samples > 0
        assert len(bytes.fromhex(m.sha256)) == 32
        assert bool(m.module) == m.path.endswith(".safetensors")
