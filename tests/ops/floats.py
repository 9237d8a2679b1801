"""Judges an operator's float meaning, used in training, by its integer one."""

from dataclasses import replace

import numpy as np

from intaglio.graph import Graph


def real(t, q):
    return t.scale * (np.asarray(q, np.float64) - t.zero_point)


def check_forward(graph: Graph, rng, steps: float = 1.0, batched: bool = True) -> None:
    """`forward` on the real inputs is within `steps` output steps of the integer reference (where that does not
    saturate), and takes a batch of two where the device's batch is one."""
    import torch

    node = graph.nodes[0]
    ins, outs = graph.ins(node), graph.outs(node)
    # The middle of the range, so that little saturates.
    xs = [t.data if t.is_const else rng.integers(-40, 40, t.shape).astype(t.dtype) for t in ins]
    wanted = node.op.reference(xs, ins, outs)
    floats = [torch.tensor(real(t, x) if t.quant.per_tensor else x, requires_grad=True)
              for t, x in zip(ins, xs, strict=True)]  # fmt: skip
    found = node.op.forward(*floats)
    found = list(found) if isinstance(found, tuple) else [found]
    for t, q, y in zip(outs, wanted, found, strict=True):
        y = y.detach().numpy()
        assert y.shape == t.shape
        inside = np.abs(q.astype(int)) < 127
        error = np.abs(real(t, q) - y)[inside]
        assert error.size == 0 or error.max() <= steps * t.scale * 1.001, f"{node.op}: off by {error.max() / t.scale}"
    found[0].sum().backward()
    assert floats[0].grad is not None
    if batched and ins[0].shape[0] == 1:
        two = [x if t.is_const else torch.cat([x, x * 0.5]) for t, x in zip(ins, floats, strict=True)]
        both = node.op.forward(*two)
        both = both[0] if isinstance(both, tuple) else both
        assert torch.allclose(both[:1], found[0]) and both.shape[0] == 2


def same_graph(a: Graph, b: Graph) -> bool:
    """Whether two graphs are the same to the bit: nodes in order, tensors, the data of constants."""
    if (a.name, a.inputs, a.outputs, list(a.tensors)) != (b.name, b.inputs, b.outputs, list(b.tensors)):
        return False
    nodes = [[(n.name, n.op, n.inputs, n.outputs) for n in g.nodes] for g in (a, b)]
    return nodes[0] == nodes[1] and all(_same(t, b.tensors[name]) for name, t in a.tensors.items())


def _same(a, b) -> bool:
    if replace(a, data=None).__dict__ != replace(b, data=None).__dict__ or (a.data is None) != (b.data is None):
        return False
    return a.data is None or a.data.tobytes() == b.data.tobytes()
