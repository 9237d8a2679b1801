"""TRANSPOSE_CONV against the oracle."""

import numpy as np
import pytest
from cases.transpose_conv import case, halves
from harness import check_cases

from intaglio.ops.transpose_conv import TransposeConv


def test_matches_oracle():
    check_cases(case, 200)


def test_halves_match_oracle():
    check_cases(halves, 100)


def test_any_cut_and_size():
    """PyTorch's paddings, which TFLite cannot say."""
    check_cases(lambda rng: case(rng, free=True), 60, judge=False)


@pytest.mark.parametrize(("cut", "out", "stride"), [((1, 1), (6, 6), 2), ((0, 0), (8, 8), 2), ((1, 0), (7, 9), 3)])
def test_float_meaning_equals_scattering(cut, out, stride):
    import torch

    rng = np.random.default_rng(1)
    x, w, b = rng.normal(size=(2, 3, 3, 2)), rng.normal(size=(4, 3, 3, 2)), rng.normal(size=4)
    wanted = np.zeros((2, 20, 20, 4))
    for y in range(3):
        for k in range(3):
            wanted[:, y * stride : y * stride + 3, k * stride : k * stride + 3] += np.einsum(
                "nc,okjc->nkjo", x[:, y, k], w
            )
    wanted = wanted[:, cut[0] : cut[0] + out[0], cut[1] : cut[1] + out[1]] + b
    found = TransposeConv(out, (stride, stride), cut).forward(*(torch.tensor(v) for v in (x, w, b)))
    assert np.abs(found.numpy() - wanted).max() < 1e-9
