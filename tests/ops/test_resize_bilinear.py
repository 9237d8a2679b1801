"""RESIZE_BILINEAR against the oracle."""

from dataclasses import replace

import numpy as np
import pytest
from cases.resize_bilinear import case
from floats import check_forward
from harness import act, check_cases
from reading import refusal

from intaglio.ops.base import TfliteOp
from intaglio.ops.resize_bilinear import ResizeBilinear


def test_matches_oracle():
    check_cases(case, 300)


@pytest.mark.parametrize(("size", "reason"), [([0, 4], "resized"), ([4], "has 1"), ([1 << 30, 4], "resized")])
def test_refuses_nonsense(size, reason):
    x = act(np.random.default_rng(1), "x", (1, 2, 2, 1), "int8", 0.1, 3)
    written = TfliteOp("RESIZE_BILINEAR", ("x", np.array(size, np.int32)), "ResizeBilinearOptions")
    assert reason in refusal([x], [replace(x, name="y", shape=(1, 4, 4, 1))], written)


def test_check_refuses_what_contradicts_itself():
    x = act(np.random.default_rng(1), "x", (1, 2, 2, 1))
    y = replace(x, name="y", shape=(1, 3, 3, 1))
    assert "contradict" in ResizeBilinear((3, 3), True, True).check([x], [y])[0]
    other = act(np.random.default_rng(1), "y", (1, 3, 3, 1), scale=2 * x.scale)
    assert "quantized as x" in ResizeBilinear((3, 3)).check([x], [other])[0]


@pytest.mark.parametrize("corners", [False, True])
def test_float_meaning_is_that_of_torch(corners):
    import torch

    for i in range(20):
        rng = np.random.default_rng([3, i])
        graph = case(rng)
        # Shrunk with half pixels, torch lets positions left of the first pixel weigh the second; that is beyond TFLite.
        op = replace(graph.nodes[0].op, align_corners=corners, half_pixel_centers=not corners)
        x = torch.tensor(rng.normal(size=graph.tensors["x"].shape))
        want = torch.nn.functional.interpolate(x.permute(0, 3, 1, 2), op.size, mode="bilinear", align_corners=corners)
        assert torch.allclose(op.forward(x), want.permute(0, 2, 3, 1), atol=1e-5)


def test_float_meaning():
    for i in range(30):
        rng = np.random.default_rng([2, i])
        check_forward(case(rng), rng, 1.0)
