"""A graph file taken apart and put together, its checksum right."""

import json

from intaglio import graph_file


def parts(data: bytes) -> tuple[dict, bytes]:
    _, header, raw = data.split(b"\n", 2)
    return json.loads(header), raw


def packed(header: object, raw: bytes) -> bytes:
    """With a checksum that is right."""
    body = json.dumps(header).encode() + b"\n" + raw
    return graph_file.MAGIC + graph_file.digest(body).encode() + b"\n" + body
