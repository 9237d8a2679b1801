"""LAYER_NORM and INSTANCE_NORM: NumPy = C in integers, both near the real numbers; no runtime has them in int8."""

from dataclasses import replace

import numpy as np
import pytest
from cases.layer_norm import case, instance_op, layer_op
from floats import real
from harness import act, check_cases, const, graph_of

from intaglio.emit import tflite as writer
from intaglio.errors import GraphError, UnsupportedError
from intaglio.graph import Quant, constant
from intaglio.ops.instance_norm import InstanceNorm
from intaglio.ops.layer_norm import LayerNorm
from intaglio.ops.normalization import MAX_SCALE, fraction_bits

KINDS = [LayerNorm, InstanceNorm]


@pytest.mark.parametrize("kind", KINDS)
def test_c_is_the_reference(kind):
    check_cases(lambda rng: case(rng, kind), 250, judge=False)


@pytest.mark.parametrize("kind", KINDS)
def test_large_groups(kind):
    """As many numbers as check lets through, and the extremes among the harness's inputs."""

    def make(rng):
        count = 131071
        op = kind(1e-5)
        shape, affine = ((1, count), (count,)) if kind is LayerNorm else ((1, count, 1), (1,))
        scale = const("scale", np.full(affine, MAX_SCALE, np.int16), Quant((1 / 2048,), (0,)))
        return graph_of(op, [act(rng, "x", shape), scale], [act(rng, "y", shape, scale=0.05, zero_point=0)])

    check_cases(make, 3, judge=False)


@pytest.mark.parametrize("kind", KINDS)
def test_integers_are_near_the_real_numbers(kind):
    """Within what rounding the output (1/2), the normalized numbers (2**-F / 2) and epsilon leave."""
    for i in range(200):
        rng = np.random.default_rng([4, i])
        graph = case(rng, kind)
        node = graph.nodes[0]
        op = replace(node.op, epsilon=max(node.op.epsilon, 1e-3))
        x, scale, *offset = graph.ins(node)
        y = graph.outs(node)[0]
        q = rng.integers(-128, 128, x.shape).astype(np.int8)
        [found] = op.reference([q, *(t.data for t in graph.ins(node)[1:])], graph.ins(node), [y])
        floats = [real(x, q), *(real(t, t.data) for t in (scale, *offset))]
        [want] = float_reference(op, floats)
        inside = (found > -128) & (found < 127)
        count = op.count(x)
        # Epsilon is a whole number of (in_scale / N)^2, of which a group that is not all alike has N - 1 or more.
        slack = np.abs(want - (floats[2] if offset else 0)) * (0.25 / max(count - 1, 1) + 1e-6)
        allowed = 0.51 * y.scale + scale.scale * MAX_SCALE * 2.0 ** -fraction_bits(count) / 2 + slack
        assert (np.abs(real(y, found) - want) <= allowed)[inside].all(), (op, x.shape)


def float_reference(op, floats):
    ts = [constant(f"t{i}", np.asarray(v, np.float32)) for i, v in enumerate(floats)]
    return op.reference([t.data for t in ts], ts, [replace(ts[0], name="y")])


@pytest.mark.parametrize("kind", KINDS)
def test_reference_is_what_torch_does(kind):
    import torch

    for i in range(40):
        rng = np.random.default_rng([5, i])
        shape, op = (layer_op if kind is LayerNorm else instance_op)(rng)
        op = replace(op, epsilon=1e-5)
        affine = shape[-op.dims :] if kind is LayerNorm else shape[-1:]
        x = rng.normal(2, 3, shape).astype(np.float32)
        scale, offset = (rng.normal(size=affine).astype(np.float32) for _ in range(2))
        tensors = [torch.tensor(v, requires_grad=True) for v in (x, scale, offset)]
        found = op.forward(*tensors)
        found.sum().backward()
        assert all(t.grad is not None for t in tensors)
        if kind is LayerNorm:
            want = torch.nn.functional.layer_norm(tensors[0], affine, tensors[1], tensors[2], 1e-5)
        elif np.prod(shape[1:-1]) > 1:
            maps = tensors[0].movedim(-1, 1)
            want = torch.nn.functional.instance_norm(maps, weight=tensors[1], bias=tensors[2], eps=1e-5).movedim(1, -1)
        else:  # torch refuses to normalize single pixels
            want = found
        assert torch.allclose(found, want, atol=1e-5)
        assert np.allclose(float_reference(op, [x, scale, offset])[0], want.detach().numpy(), atol=1e-5)


def test_check_names_what_does_not_fit():
    rng = np.random.default_rng(1)
    x, y = act(rng, "x", (1, 8), scale=0.1), act(rng, "y", (1, 8), scale=0.1)

    def problem(scale=None, offset=None, x=x, y=y, op=None):
        good = const("scale", np.full(8, 100, np.int16), Quant((0.01,), (0,)))
        ins = [x, scale if scale is not None else good, *([] if offset is None else [offset])]
        return " ".join((op or LayerNorm()).check(ins, [y]))

    assert problem() == ""
    assert "int16 constant" in problem(const("scale", np.ones(8, np.int8), Quant((0.01,), (0,))))
    assert "at most 2047" in problem(const("scale", np.full(8, 2048, np.int16), Quant((0.01,), (0,))))
    assert "have the scale" in problem(offset=const("offset", np.ones(8, np.int32), Quant((0.01,), (0,))))
    assert "int32 constant" in problem(offset=const("offset", np.ones(8, np.int16), Quant((0.01,), (0,))))
    assert "32 bits" in problem(y=act(rng, "y", (1, 8), scale=1e-9))
    assert "epsilon" in problem(op=LayerNorm(1e18))
    assert "mixes float32" in problem(x=act(rng, "x", (1, 8), "float32"))
    large = act(rng, "x", (1, 1 << 17), scale=0.1)
    assert "131072 numbers" in problem(x=large, y=replace(large, name="y"))


def test_shapes():
    rng = np.random.default_rng(1)
    x, scale = act(rng, "x", (1, 4, 8)), act(rng, "scale", (4,))
    with pytest.raises(GraphError, match="its shape is"):
        LayerNorm().infer([x, scale], [])
    with pytest.raises(GraphError, match="last 4 of 3"):
        LayerNorm(dims=4).infer([x, scale], [])
    with pytest.raises(GraphError, match="an instance norm of"):
        InstanceNorm().infer([act(rng, "x", (1, 4)), scale], [])


@pytest.mark.parametrize("kind", KINDS)
def test_tflite_has_none(kind):
    with pytest.raises(UnsupportedError, match="TFLite has no"):
        writer.write(case(np.random.default_rng(1), kind))
