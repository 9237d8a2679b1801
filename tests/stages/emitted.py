"""Emitted files in a folder."""

from __future__ import annotations


def write(files, folder):
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(body)
