"""Codebooks: k values in the module, in the Graph and in the integers, tuned by training, zeros kept."""

import numpy as np
import pytest
import torch
from digits_model import CONV, DEPTHWISE, HIDDEN, LOGITS, accuracy, digits, lost, network, refused_whole, trained
from floats import same_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from intaglio import to_int8
from intaglio.compress.layers import weights_of
from intaglio.compress.prune import keep_zeros, prune
from intaglio.compress.share import MOST, codebook, group_of, k_means, keep_codebooks, nearest, share
from intaglio.errors import DataError
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import verify
from intaglio.quantize.calibrate import calibrate
from intaglio.quantize.post_training import quantize
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, evaluate, fit

torch.set_num_threads(1)
BRIEF = Settings(2, 64, 0.003)


def constants(graph):
    """The weights of each layer, in floats or integers."""
    return {n.name: graph.tensors[n.inputs[1]] for n in graph.nodes if n.op.weighted}


def values(module):
    return {w.name: w.value().numpy() for w in weights_of(module)}


# ---- k-means ----------------------------------------------------------------------------------------------------


def test_k_means_finds_clusters_that_are_there():
    rng = np.random.default_rng(0)
    truth = np.array([-0.9, -0.2, 0.05, 0.5])
    w = (rng.choice(truth, 4000) + rng.normal(0, 0.005, 4000)).astype(np.float32)
    assert np.abs(k_means(w, 4) - truth).max() < 0.001
    assert (k_means(truth, 9) == truth).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_k_means_is_a_fixed_point_better_than_its_start(seed):
    rng = np.random.default_rng(seed)
    w = rng.standard_t(2, int(rng.integers(20, 400)))
    k = int(rng.integers(2, 20))
    found = k_means(w, k)
    assert len(found) == k and (np.diff(found) > 0).all()
    index = nearest(w, found)
    assert (np.abs(w - found[index]) <= np.abs(w[:, None] - found[None]).min(1) + 1e-12).all()
    for i in range(k):
        assert (index == i).any() and abs(w[index == i].mean() - found[i]) < 1e-9
    start = np.linspace(w.min(), w.max(), k)
    assert np.square(w - found[index]).sum() <= np.square(w - start[nearest(w, start)]).sum()


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (8, 4), (10, 3), (3, 3)])
def test_groups_are_neighbours_of_like_size(channels, groups):
    found = group_of(channels, groups)
    sizes = np.bincount(found)
    assert (np.diff(found) >= 0).all() and len(sizes) == groups and np.ptp(sizes) <= 1


# ---- a module -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 16, MOST])
def test_k_values_in_the_module_the_graph_and_the_integers(k):
    module = to_module(trained())
    errors = share(module, k)
    graph = to_graph(module)
    x = digits()[0][0][:100]
    for integers in (quantize(graph, calibrate(graph, x)), to_int8(graph, x)):
        for name, t in constants(integers).items():
            real = constants(graph)[name]
            assert t.dtype == "int8" and t.quant.per_tensor and len(np.unique(t.data)) <= k
            assert t.quant == real.quant and np.abs(t.data).max() == 127
            # The floats are on the grid: what is quantized is what was trained.
            assert (t.data * np.float32(t.quant.scale[0]) == real.data).all()
            assert (real.data == values(module)[name]).all()
    before = constants(trained())
    for name, error in errors.items():
        difference = values(module)[name] - before[name].data
        relative = np.sqrt(np.square(difference).mean() / np.square(before[name].data).mean())
        assert relative == pytest.approx(error, rel=1e-4)
    assert errors[HIDDEN] < {2: 0.95, 3: 0.9, 16: 0.15, MOST: 0.02}[k]


def test_training_tunes_entries_by_summed_gradients_and_keeps_indices():
    module = to_module(trained())
    share(module, {HIDDEN: 8})
    [w] = weights_of(module, [HIDDEN])
    [book] = w.steps()
    indices, entries = book.indices.clone(), book.entries.detach().clone()
    seen = []
    hook = book.register_forward_hook(lambda m, i, out: seen.append(out) or out.retain_grad())
    x, y = (torch.as_tensor(a[:64]) for a in digits()[0])
    nn.functional.cross_entropy(module(x), y).backward()
    expected = torch.zeros(8).index_add_(0, indices.flatten(), seen[0].grad.flatten())
    assert torch.allclose(book.entries.grad[0], expected, rtol=1e-4, atol=1e-7)
    hook.remove()
    assert w.original().grad is None and not w.original().requires_grad
    rough = evaluate(module, digits()[0])[0]
    fit(module, digits()[0], BRIEF, progress=False)
    assert torch.equal(book.indices, indices) and (book.entries != entries).all()
    assert evaluate(module, digits()[0])[0] < 0.97 * rough and len(np.unique(values(module)[HIDDEN])) <= 8


def test_few_entries_recover_by_tuning():
    module = to_module(trained())
    share(module, {HIDDEN: 2, LOGITS: 3})
    rough = accuracy(module)
    fit(module, digits()[0], Settings(4, 64, 0.01), progress=False)
    assert accuracy(module) > rough + 0.05


def test_zeros_have_an_entry_that_stays_zero():
    module = to_module(trained())
    prune(module, {HIDDEN: 0.8})
    gone = values(module)[HIDDEN] == 0
    share(module, {HIDDEN: 4, CONV: 4})
    for _ in range(2):
        found = values(module)[HIDDEN]
        assert (found[gone] == 0).all() and len(np.unique(found)) <= 4
        fit(module, digits()[0], BRIEF, progress=False)
    assert [w.steps()[-1].zero for w in weights_of(module, [CONV, HIDDEN])] == [False, True]
    graph = to_graph(module)
    integers = constants(quantize(graph, calibrate(graph, digits()[0][0][:50])))[HIDDEN]
    assert (integers.data[gone] == 0).all() and len(np.unique(integers.data)) <= 4


@pytest.mark.parametrize("pruned", [False, True])
def test_groups_have_codebooks_and_grids_of_their_own(pruned):
    module = to_module(trained())
    if pruned:
        prune(module, 0.5)
    share(module, {HIDDEN: 4, DEPTHWISE: 3}, groups={HIDDEN: 5, DEPTHWISE: 2})
    fit(module, digits()[0], BRIEF, progress=False)
    graph = to_graph(module)
    integers = verify(quantize(graph, calibrate(graph, digits()[0][0][:50])), "quantized")
    for name, axis, k, groups in ((HIDDEN, 0, 4, 5), (DEPTHWISE, 3, 3, 2)):
        t = constants(integers)[name]
        assert t.quant.axis == axis and len(set(t.quant.scale)) == groups
        owner = group_of(t.shape[axis], groups)
        for g in range(groups):
            part = np.moveaxis(t.data, axis, 0)[owner == g]
            assert len(np.unique(part)) <= k and np.abs(part).max() == 127
        scale = np.array(t.quant.scale, np.float32).reshape([-1 if d == axis else 1 for d in range(t.data.ndim)])
        assert (t.data * scale == constants(graph)[name].data).all()


def test_sharing_what_is_shared_already_keeps_it():
    module = to_module(trained())
    share(module, 8)
    graph = to_graph(module)
    again = to_module(graph)
    assert max(share(again, 8).values()) < 1e-6
    for name, t in constants(to_graph(again)).items():
        assert np.allclose(t.data, constants(graph)[name].data, rtol=1e-6)


def test_a_layer_of_zeros():
    book = codebook(np.zeros((3, 4), np.float32), 4, 0)
    assert book.zero and (book(None) == 0).all() and book.grid().scale[0] > 0


# ---- in the device's integers -----------------------------------------------------------------------------------


def test_pruned_shared_and_quantized_in_one_training():
    pruned = to_module(trained())
    prune(pruned, 0.6)
    fit(pruned, digits()[0], BRIEF, progress=False)
    graphs = []
    for _ in range(2):
        module = quantization_aware(to_graph(pruned), digits()[0][0][:100])
        sparsity = keep_zeros(module)
        share(module, {"*": 8, LOGITS: 16})
        fit(module, digits()[0], BRIEF, progress=False)
        graphs.append(to_graph(module))
        for name, t in constants(graphs[-1]).items():
            assert len(np.unique(t.data)) <= (16 if name == LOGITS else 8) and t.quant.per_tensor
            assert (t.data == 0).mean() >= sparsity[name] > 0.59
            real = values(module)[name]
            assert (t.data * np.float32(t.quant.scale[0]) == real).all()
    assert same_graph(*graphs) and lost(module) < 0.1
    x, y = digits()[1]
    right = (module.integers(x)[0].reshape(len(x), -1).argmax(1) == y).mean()
    assert right == pytest.approx(accuracy(module), abs=0.01)


def test_a_training_of_entries_resumes_to_the_same_bytes(tmp_path):
    def run(place, stop):
        module = to_module(trained())
        prune(module, 0.5)
        share(module, 8)

        def after(part):
            if part > stop:
                raise KeyboardInterrupt

        fit(module, digits()[0], BRIEF, checkpoint=place, after_step=after, progress=False)
        return to_graph(module)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "a.pt", 0.7)
    assert same_graph(run(tmp_path / "a.pt", 1), run(tmp_path / "b.pt", 1))


# ---- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: share(m, 1), r"share, entries of 'conv2d': is 1\. Allowed: a whole number, 2 to 256"),
        (lambda m: share(m, 257), "is 257"),
        (lambda m: share(m, {CONV: 8, HIDDEN: 2.5}), "'linear': is 2.5"),
        (lambda m: share(m, {"linaer": 8}), r"share, entries: no layer is called 'linaer'\. Allowed: linear"),
        (lambda m: share(m, 8, groups={"x": 2}), "share, groups: no layer is called 'x'"),
        (lambda m: share(m, 8, groups=11), r"groups of 'conv2d': is 11\. Allowed: 1 to its 8 output channels"),
        (lambda m: share(m, 8, groups={LOGITS: 0}), "groups of 'linear_1': is 0"),
    ],
)
def test_what_is_refused_changes_nothing(call, said):
    refused_whole(call, said)


def test_a_layer_is_shared_once():
    module = to_module(trained())
    share(module, {CONV: 8})
    with pytest.raises(DataError, match="'conv2d': shares its weights already"):
        share(module, 8)


def test_batch_norms_are_folded_first():
    net = nn.Sequential(network()[:1], nn.BatchNorm2d(8), network()[1:])
    net[1].weight.data.uniform_(0.5, 2)
    graph = frontend.load(net.eval(), torch.zeros(1, 1, 8, 8), "norm")
    module = to_module(graph)
    with pytest.raises(DataError, match="'conv2d': a batch norm behind it would change its weights"):
        share(module, 8)
    assert set(share(module, {"linear*": 8})) == {HIDDEN, LOGITS}
    assert len(share(to_module(simplify(graph)), 8)) == 4


def test_a_graph_of_shared_weights_trains_on_as_one():
    first = to_module(trained())
    prune(first, {HIDDEN: 0.5})
    share(first, {CONV: 12, HIDDEN: 8, LOGITS: 4}, groups={CONV: 2})
    graph = to_graph(first)
    module = to_module(graph)
    found = keep_codebooks(module)
    assert found in ({CONV: k, HIDDEN: 8, LOGITS: 4} for k in (12, 13))  # 13 where an entry of one group is 0
    for w in weights_of(module):
        was = graph.tensors[w.constant].data
        assert np.abs(w.value().numpy() - was).max() <= 1e-6 * np.abs(was).max()
    fit(module, digits()[0], Settings(1, 64, 0.01), progress=False)
    found = to_graph(module)
    for w in weights_of(module):
        now, was = found.tensors[w.constant].data, graph.tensors[w.constant].data
        assert not np.array_equal(now, was)
        if w.name != DEPTHWISE:
            # Two values may come to lie on the same step of the grid.
            assert ((now == 0) == (was == 0)).all() and len(np.unique(now)) <= len(np.unique(was))
    assert keep_codebooks(to_module(trained())) == {}
