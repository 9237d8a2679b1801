"""Mutants of .pt2 files, as torch.export.save writes them."""

from __future__ import annotations

import io
import json
import warnings
from functools import cache

import numpy as np
from edits import archive, edit, pick, raw, times
from model_mutants import Compiled, compiled


def take(data: bytes) -> Compiled:
    from intaglio.frontends import torch_pt2

    return compiled(torch_pt2.parse(data, "mutant.pt2", "mutant"))


@cache
def pt2_seeds() -> tuple[bytes, ...]:
    """Two small modules as torch.export.save writes them."""
    import torch
    from torch import nn

    class Cut(nn.Module):
        def forward(self, x):
            y = torch.relu(x[:, 1:3])
            return torch.cat([y, y.mean(1, keepdim=True)], 1).permute(0, 2, 3, 1), y.flatten(1)

    def saved(module, *shape):
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.export.save(torch.export.export(module.eval(), (torch.zeros(shape),)), file)
        return file.getvalue()

    torch.manual_seed(0)
    conv = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    dense = nn.Sequential(nn.Linear(4, 3), nn.Hardtanh(0, 6))
    return saved(dense, 1, 4), saved(conv, 1, 2, 4, 4), saved(Cut(), 1, 4, 3, 3)


def mutant(rng: np.random.Generator) -> bytes:
    """The JSON of the program or of its weights changed; members renamed, doubled, compressed; or raw bytes."""
    data = pick(rng, pt2_seeds())
    if rng.random() < 0.15:
        return raw(data, np.arange(len(data)), rng)
    member = pick(rng, ("models/model.json", "models/model.json", "weights_config.json"))

    def change(name: str, body: bytes) -> bytes | None:
        if rng.random() < 0.01:
            return None
        if not name.endswith(member):
            return body
        tree = json.loads(body)
        for _ in range(times(rng)):
            _edit_program(rng, tree)
        return json.dumps(tree).encode()

    return archive(data, rng, change, compress=rng.random() < 0.02)


def _edit_program(rng: np.random.Generator, tree: dict) -> None:
    """What the program says, rather than where in the user's source it came from."""
    module = tree.get("graph_module") if isinstance(tree, dict) else None
    parts = [p for p in (module.get("graph"), module.get("signature")) if p] if isinstance(module, dict) else []
    nodes = parts[0].get("nodes") if parts and isinstance(parts[0], dict) else None
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, dict):
            node["metadata"] = {}
    kind = rng.random()
    if kind < 0.6 and isinstance(nodes, list) and nodes:
        edit(rng, {"node": pick(rng, nodes)}, strange=0.1)
    elif parts and kind < 0.95:
        edit(rng, pick(rng, parts), strange=0.1)
    else:
        edit(rng, tree, strange=0.1)
