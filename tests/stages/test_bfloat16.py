"""bfloat16, which NumPy lacks: what is stored in it becomes the float32 that it is; what computes in it is refused."""

import numpy as np
import pytest
import torch
from torch import nn

import intaglio
from intaglio import pipeline
from intaglio.errors import ModelError, UnsupportedError
from intaglio.floats.run import run_float
from intaglio.frontends import torch_pt2
from intaglio.graph import as_array

HALVES = (torch.bfloat16, torch.float16)


class Net(nn.Module):
    """Parameters, a buffer, and a constant that is neither."""

    def __init__(self, dtype):
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(4, 3)
        self.register_buffer("shift", torch.randn(3).to(dtype))
        self.factor = torch.randn(3).to(dtype)

    def forward(self, x):
        return self.layer(x) * self.factor + self.shift


@pytest.mark.parametrize("dtype", HALVES)
def test_constants_are_the_numbers_they_stand_for(dtype, tmp_path):
    module, x = Net(dtype).eval(), torch.randn(1, 4)
    want = module(x).detach().numpy()
    torch.export.save(torch.export.export(module, (x,)), tmp_path / "net.pt2")
    for graph in (intaglio.from_torch(module, x), pipeline.load(tmp_path / "net.pt2")):
        assert {t.dtype for t in graph.tensors.values()} == {"float32"}
        np.testing.assert_allclose(run_float(graph, [x.numpy()])[0], want, rtol=1e-6)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_module_of_it_computes_in_float32(dtype):
    module, x = Net(torch.float32).to(dtype).eval(), torch.randn(1, 4)
    graph = intaglio.from_torch(module, x.to(dtype))
    assert graph.tensors["layer.weight"].data.tobytes() == module.layer.weight.detach().float().numpy().tobytes()
    assert intaglio.to_int8(graph, torch.randn(8, 4).to(dtype)).tensors["layer.weight"].dtype == "int8"


def test_a_program_of_it_is_refused_by_name(tmp_path):
    module = Net(torch.float32).to(torch.bfloat16).eval()
    program = torch.export.export(module, (torch.randn(1, 4, dtype=torch.bfloat16),))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(UnsupportedError, match=r"input x: its dtype is bfloat16; float32 .*module\.float\(\)"):
        pipeline.load(tmp_path / "net.pt2")


def test_types_without_a_name_are_no_damage(tmp_path, monkeypatch):
    torch.export.save(torch.export.export(Net(torch.bfloat16).eval(), (torch.randn(1, 4),)), tmp_path / "net.pt2")
    monkeypatch.delitem(torch_pt2.DTYPES, 13)
    with pytest.raises(ModelError, match="type number 13"):
        pipeline.load(tmp_path / "net.pt2")


def test_every_bfloat16_number():
    """But for not-a-number."""
    bits = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    found = as_array(torch.tensor(bits).view(torch.bfloat16))
    want = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    real = ~np.isnan(want)
    assert found.dtype == np.float32 and (found[real] == want[real]).all()
