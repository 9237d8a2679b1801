"""What the steps of recipes do, and the recipes of the package on the digits."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from digits_model import CONV, DEPTHWISE, HIDDEN, LOGITS, digits, trained
from floats import same_graph
from torch import nn

import intaglio
from intaglio import boards, graph_file, judge
from intaglio.compress.prune import sparsity_of
from intaglio.emit import tflite as writer
from intaglio.errors import DataError, OutputError, RecipeError, ToolError, UnsupportedError
from intaglio.floats.simplify import simplify
from intaglio.frontends import torch as frontend
from intaglio.graph import Graph
from intaglio.ops.batch_norm import BatchNorm
from intaglio.select.weights import choose_encodings
from intaglio.train import to_graph, to_module
from intaglio.train.loop import Settings, fit

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """In a folder of its own, and nothing is linked for the M4: what is built runs on this computer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    real = judge.prepare.prepared

    def prepared(path, board, *given, **options):
        if board.name != "host":
            raise ToolError("arm-none-eabi-gcc", "is not asked")
        return real(path, board, *given, **options)

    monkeypatch.setattr(judge.prepare, "prepared", prepared)


def with_norms() -> Graph:
    torch.manual_seed(2)
    net = nn.Sequential(
        nn.Conv2d(1, 12, 3, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, bias=False),
        nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10), nn.Softmax(1),
    )  # fmt: skip
    return frontend.load(net.eval(), torch.zeros(1, 1, 8, 8), "norms")


def run(graph: Graph, *steps: dict, out: str = "out", train=None, **options):
    test = digits()[1] if train is None else None
    return intaglio.compress(graph, {"step": list(steps)}, train or digits()[0], test, out, **options)


# ---- recipes of the package ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "allowed", "smaller"), [
    ("deep-compression", 0.03, 8), ("slim", 0.06, 10), ("distil", 0.05, 10), ("tiny", 0.07, 10),
])  # fmt: skip
def test_recipes_of_the_package(name, allowed, smaller):
    """`allowed` of the accuracy may be lost; sizes are of the weights, in bytes."""
    found = intaglio.compress(trained(), name, *digits(), "out")
    first, last = found.steps[0].measured, found.steps[-1].measured
    assert last.accuracy >= first.accuracy - allowed
    assert last.weight_bytes * smaller <= first.weight_bytes
    assert all(s.measured.unbuilt for s in found.steps)
    assert "has no image" in (found.folder / "report.md").read_text()


def test_the_example_of_the_readme_keeps_its_accuracy(monkeypatch):
    """Batch norms folded into few weights: by bare magnitude, its last layer would go, and a tenth of the accuracy."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    import digits_files

    digits_files.main(Path("digits"))
    files = (f"digits/{name}" for name in ("train.npz", "test.npz"))
    found = intaglio.compress("digits/digits.tflite", "deep-compression", *files, "out")
    first, last = found.steps[0].measured, found.steps[-1].measured
    assert last.accuracy > first.accuracy - 0.03 and last.weight_bytes * 5 <= first.weight_bytes


def test_a_model_with_batch_norms_and_a_softmax_is_trained_and_slimmed():
    untrained = with_norms()
    found = run(
        untrained, {"do": "fine-tune", "epochs": 8, "learning_rate": 5e-3},
        {"do": "channels", "ratio": 0.5, "first": "auto", "ranking": "global", "first_epochs": 2, "epochs": 4,
         "learning_rate": 5e-3},
        {"do": "quantize", "how": "aware", "epochs": 1},
    )  # fmt: skip
    floats, slim, integers = (s.graph for s in found.steps[1:])
    assert any(isinstance(n.op, BatchNorm) for n in slim.nodes)  # folded by the step that quantizes, not before
    assert not any(isinstance(n.op, BatchNorm) for n in integers.nodes)
    assert slim.macs() < 0.6 * floats.macs()
    accuracies = [s.measured.accuracy for s in found.steps]
    assert accuracies[1] > accuracies[0] + 0.5 and min(accuracies[2:]) > accuracies[1] - 0.12


# ---- single steps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [
    {"importance": "taylor"}, {"importance": "activation"}, {"importance": "l1", "ranking": "global"},
    {"first": "growing", "first_epochs": 2}, {"first": "group-lasso", "first_epochs": 2, "strength": 1e-3},
])  # fmt: skip
def test_channels_go(options):
    found = run(trained(), {"do": "channels", "ratio": 0.5, "epochs": 3, "learning_rate": 3e-3, **options})
    small, accuracies = found.graph, [s.measured.accuracy for s in found.steps]
    assert small.tensors[next(n.inputs[1] for n in small.nodes if n.name == HIDDEN)].shape[0] in (8, 16, 20, 24)
    assert small.macs() < 0.75 * trained().macs() and accuracies[1] > accuracies[0] - 0.08


@pytest.mark.parametrize("keep", ["keep_macs", "keep_weights"])
def test_channels_to_a_target(keep):
    found = run(trained(), {"do": "channels", keep: 0.5, "epochs": 0})
    first, last = found.steps[0].measured, found.steps[1].measured
    size = "macs" if keep == "keep_macs" else "weights"
    assert 0.3 * getattr(first, size) < getattr(last, size) <= 0.5 * getattr(first, size)
    with pytest.raises(DataError, match=r"step 1 \(channels\).*out of reach"):
        run(trained(), {"do": "channels", keep: 0.01}, out="other")


@pytest.mark.parametrize(("options", "sparsity"), [
    ({"sparsity": {HIDDEN: 0.9}, "how": "gradual", "updates": 10}, {HIDDEN: 0.9, LOGITS: 0.0, CONV: 0.0}),
    ({"n_of_m": (2, 4)}, {HIDDEN: 0.5, LOGITS: 0.5}),
    ({"sparsity": 0.5, "block": (1, 4)}, {HIDDEN: 0.5, LOGITS: 0.5}),
    ({"sparsity": {"*": 0.5, "conv*": 0.0}, "how": "iterative", "rounds": 2}, {HIDDEN: 0.5, CONV: 0.0, DEPTHWISE: 0.0}),
])  # fmt: skip
def test_ways_to_prune(options, sparsity):
    found = run(trained(), {"do": "prune", "epochs": 2, **options}, {"do": "fine-tune", "epochs": 1})
    for step in found.steps[1:]:
        of = sparsity_of(step.graph)
        assert {name: of[name] for name in sparsity} == pytest.approx(sparsity, abs=0.01)
    before, after = (s.graph for s in found.steps[1:])
    for name, t in before.tensors.items():
        if t.data is not None and (t.data == 0).mean() > 0.1:
            # The second training moves the others and keeps the zeros.
            assert ((t.data == 0) == (after.tensors[name].data == 0)).all()
            assert (t.data != after.tensors[name].data).any()


def test_gradual_pruning_keeps_what_was_pruned_before():
    found = run(
        trained(), {"do": "prune", "sparsity": {LOGITS: 0.5}, "epochs": 0},
        {"do": "prune", "sparsity": {HIDDEN: 0.8}, "how": "gradual", "epochs": 2, "updates": 5},
    )  # fmt: skip
    of = sparsity_of(found.graph)
    assert of[LOGITS] == pytest.approx(0.5, abs=0.01) and of[HIDDEN] == pytest.approx(0.8, abs=0.01)
    gradual = {"do": "prune", "sparsity": 0.5, "how": "gradual", "epochs": 1}
    with pytest.raises(RecipeError, match=r"step 2 \(prune\).*Put prune before weights are shared"):
        run(trained(), {"do": "share", "epochs": 0}, gradual, out="b")


def test_learned_pruning_soft_sharing_and_tied_layers():
    for how in ("gates", "threshold"):
        step = {"do": "gate", "density": 0.4, "how": how, "first_epochs": 4, "epochs": 2, "learning_rate": 3e-3}
        found = run(trained(), step, out=how)
        data = [found.graph.tensors[n.inputs[1]].data for n in found.graph.nodes if n.name in sparsity_of(trained())]
        assert sum((d != 0).sum() for d in data) <= 0.4 * sum(d.size for d in data) + 1, how
        assert found.steps[1].measured.accuracy > found.steps[0].measured.accuracy - 0.1
    # Gates decide anew about what was pruned.
    gate = {"do": "gate", "density": 0.3, "first_epochs": 1, "epochs": 0}
    run(trained(), {"do": "prune", "sparsity": 0.5, "epochs": 0}, gate, out="anew")
    graphs = []
    for how in ({"soft": "k-means"}, {"soft": "mixture", "zeros": 0.7, "strength": 3.0, "soft_epochs": 6}):
        soft = run(trained(), {"do": "share", "entries": 8, "soft_epochs": 2, "epochs": 1, **how}, out=how["soft"])
        for n in soft.graph.nodes:
            if n.name in sparsity_of(trained()):
                assert len(np.unique(soft.graph.tensors[n.inputs[1]].data)) <= 8
        graphs.append(soft.graph)
    # k-means may have one of its 8 values at zero.
    assert sparsity_of(graphs[0])[HIDDEN] < 0.4 < sparsity_of(graphs[1])[HIDDEN]
    with pytest.raises(DataError, match=r"step 1 \(tie\).*differ"):
        run(trained(), {"do": "tie", "layers": (HIDDEN, LOGITS)}, out="tie")


def test_quantization_of_several_kinds():
    for how, bits in (({"weight_bits": {HIDDEN: 4}}, 4), ({"weight_bits": 4, "how": "aware", "epochs": 1}, 4)):
        graph = run(trained(), {"do": "quantize", **how}, out=f"w{len(how)}").graph
        weights = graph.tensors[next(n.inputs[1] for n in graph.nodes if n.name == HIDDEN)]
        assert weights.quant.bits == bits
    wide = run(trained(), {"do": "quantize", "activation_bits": 16}, out="wide").graph
    assert wide.tensors[wide.inputs[0]].dtype == "int16"
    kept = run(trained(), {"do": "quantize", "keep_float": (LOGITS,), "rounding": "learned"}, out="kept")
    assert kept.graph.tensors[kept.graph.outputs[0]].dtype == "float32"
    assert kept.steps[1].measured.accuracy > kept.steps[0].measured.accuracy - 0.03
    with pytest.raises(RecipeError, match=r"step 2 \(quantize\), rounding: cannot be with weights that share values"):
        run(trained(), {"do": "share", "epochs": 0}, {"do": "quantize", "rounding": "learned"}, out="r")


def test_what_a_network_uses_twice_stays_one(tmp_path):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.again, self.last = nn.Linear(64, 16), nn.Linear(16, 16), nn.Linear(16, 10)

        def forward(self, x):
            x = self.again(torch.relu(self.first(x.flatten(1))))
            return self.last(torch.relu(self.again(torch.relu(x))))

    torch.manual_seed(4)
    graph = frontend.load(Twice().eval(), torch.zeros(1, 1, 8, 8), "twice")
    (tmp_path / "twice.tflite").write_bytes(writer.write(simplify(graph)))
    for model in (graph, "twice.tflite"):
        found = run(model, {"do": "fine-tune", "epochs": 1}, {"do": "quantize"}, out=str(type(model)))
        before, after = (s.graph for s in found.steps[:2])
        matrices = [n.inputs[1:3] for n in after.nodes if n.op.name == "fully_connected"]
        assert len(matrices) == 4 and len(set(matrices)) == 3
        assert not same_graph(before, after) and found.steps[0].measured.weight_bytes == 5928
        assert found.steps[1].measured.weight_bytes == 5928 and found.steps[2].measured.weight_bytes < 1800


def test_a_classifier_that_ends_in_a_pool_learns_from_a_teacher():
    torch.manual_seed(5)
    net = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 10, 3), nn.AdaptiveAvgPool2d(1))
    graph = frontend.load(net.eval(), torch.zeros(1, 1, 8, 8), "pool")
    found = run(graph, {"do": "distil", "epochs": 3, "labels": 1.0, "learning_rate": 0.01})
    assert found.steps[1].measured.accuracy > found.steps[0].measured.accuracy + 0.2


def test_two_inputs_are_quantized():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.mine, self.its = nn.Linear(8, 4), nn.Linear(8, 4)

        def forward(self, p, q):
            return self.mine(p) + 3 * self.its(q)

    graph = frontend.load(Two().eval(), (torch.zeros(1, 8), torch.zeros(1, 8)), "two")
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(50, 8)).astype(np.float32) * (k + 1) for k, name in enumerate(graph.inputs)}
    found = run(graph, {"do": "quantize"}, train=x).graph
    scales = [found.tensors[n].scale for n in found.inputs]
    assert scales[1] / scales[0] == pytest.approx(2, rel=0.3)
    assert found.tensors[found.inputs[0]].dtype == "int8"


def test_encodings_are_for_the_core_of_the_board():
    steps = {"do": "prune", "sparsity": 0.9, "epochs": 0}, {"do": "quantize"}, {"do": "encode", "prefer": "balanced"}
    chosen = {}
    for board, core in (("qemu-m0plus-an385", "Cortex-M0+"), ("qemu-mps2-an386", "Cortex-M4")):
        found = run(trained(), *steps, out=board, board=board)
        wanted = choose_encodings(found.steps[-2].graph, "balanced", boards.load(board).target)
        chosen[core], theirs = ([t.encoding for t in g.tensors.values()] for g in (found.graph, wanted))
        assert chosen[core] == theirs
        report = (found.folder / "report.md").read_text()
        assert f"linked for {board}" in report and f"of an inference on the {core}, estimated" in report
    assert chosen["Cortex-M0+"] != chosen["Cortex-M4"]  # what the first saves by another is less there
    with pytest.raises(OutputError, match="is of a run with another board"):
        run(trained(), *steps, out="qemu-mps2-an386", board="qemu-m0plus-an385")


def test_a_teacher_from_a_file_and_inside(tmp_path):
    torch.manual_seed(0)
    student = frontend.load(
        nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 10)
        ), torch.zeros(1, 1, 8, 8), "student",
    )  # fmt: skip
    graph_file.save(tmp_path / "teacher.itg", trained())
    base = {"do": "distil", "teacher": "teacher.itg", "epochs": 8, "learning_rate": 5e-3}
    taught = run(student, base)
    pairs = ((CONV, CONV), (DEPTHWISE, DEPTHWISE))
    inside = run(student, {**base, "features": 0.1, "attention": 0.1, "layers": pairs}, out="inside")
    alone = to_module(student)
    fit(alone, digits()[0], Settings(8, 64, 5e-3), progress=False)
    for found in (taught, inside):
        assert found.steps[1].measured.accuracy > found.steps[0].measured.accuracy + 0.4
    graphs = [taught.graph, inside.graph, to_graph(alone)]
    weights = [g.tensors[g.nodes[0].inputs[1]].data for g in graphs]
    assert len({w.tobytes() for w in weights}) == 3 and all(len(g.outputs) == 1 for g in graphs)
    graph_file.save(tmp_path / "teacher.itg", student)
    with pytest.raises(OutputError, match="another teachers"):
        run(student, base)


def test_a_teacher_that_does_not_fit(tmp_path):
    graph_file.save(tmp_path / "q.itg", intaglio.to_int8(trained(), digits()[0][0][:100]))
    with pytest.raises(DataError, match=r"step 1 \(distil\), teacher: .*q.itg is quantized"):
        run(trained(), {"do": "distil", "teacher": "q.itg"})
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 7)).eval()
    graph_file.save(tmp_path / "seven.itg", frontend.load(net, torch.zeros(1, 1, 8, 8), "seven"))
    said = r"step 2 \(distil\), teacher 'seven.itg': has 7 classes. Allowed: those of the model, 10"
    with pytest.raises(DataError, match=said):
        run(trained(), {"do": "fine-tune"}, {"do": "distil", "teacher": "seven.itg"})
    wide = nn.Sequential(nn.Flatten(), nn.Linear(81, 10))
    graph_file.save(tmp_path / "wide.itg", frontend.load(wide, torch.zeros(1, 1, 9, 9), "wide"))
    with pytest.raises(DataError, match=r"step 2 \(quantize\), teacher 'wide.itg': has inputs of \[\[9, 9, 1\]\]"):
        run(trained(), {"do": "fine-tune"}, {"do": "quantize", "how": "aware", "distil": {"teacher": "wide.itg"}})
    layers = {"features": 1.0, "layers": ((HIDDEN, "linaer"),)}
    with pytest.raises(DataError, match=r"step 2 \(distil\).*no layer is called 'linaer'"):
        run(trained(), {"do": "fine-tune"}, {"do": "distil", **layers})
    assert not Path("out").exists()


def test_encodings_change_no_output_and_are_in_the_file():
    found = run(
        trained(), {"do": "prune", "sparsity": 0.8, "epochs": 1}, {"do": "quantize"}, {"do": "encode"}
    )  # fmt: skip
    dense, encoded = found.steps[2], found.steps[3]
    assert encoded.measured.accuracy == dense.measured.accuracy
    assert encoded.measured.weight_bytes < 0.8 * dense.measured.weight_bytes
    kept = intaglio.load("out/model.itg")
    assert any(t.encoding for t in kept.tensors.values())
    # The report says what each would have cost, and which it is.
    told = json.loads(Path("out/report.json").read_text())["encodings"]
    assert [t["encoding"] for t in told] == [w["encoding"] for t in told for w in t["ways"] if "size" in w["chosen"]]
    assert all({"dense", "huffman", "tans"} <= {w["encoding"] for w in t["ways"]} for t in told) and len(told) == 3
    table, page = Path("out/report.md").read_text(), Path("out/report.html").read_text()
    for t in told:
        for way in t["ways"]:
            alike = [w for w in t["ways"] if w["encoding"] == way["encoding"]]
            shown = f"{way['encoding']} ({', '.join(way['kernels'])})" if len(alike) > 1 else way["encoding"]
            name = f"**{shown}**" if way["encoding"] == t["encoding"] and way is alike[0] else shown
            figures = [way[k] for k in ("flash_bytes", "code_bytes", "instructions_estimated", "ram_bytes")]
            assert f"| {name} | {' | '.join(f'{n:,}' for n in figures)} |" in table
            cells = f'<td data-of="encoding">{shown}</td><td data-of="flash">{way["flash_bytes"]:,}</td>'
            assert cells in page
    assert page.count("class=chosen") == 3
    x = digits()[1][0][:50]
    outputs = [intaglio.run(g, "host", x) for g in (dense.graph, kept)]
    [name] = outputs[0]
    assert np.array_equal(outputs[0][name], outputs[1][name])


def test_what_is_no_classifier_of_one_input():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 1)).eval()
    graph = frontend.load(net, torch.zeros(1, 1, 8, 8), "single")
    with pytest.raises(UnsupportedError, match="its output is a single value"):
        run(graph, {"do": "fine-tune"})
    x, y = digits()[0]

    def squares(outputs, targets):
        return (outputs[:, 0] - targets).square().mean()

    step = {"do": "fine-tune", "epochs": 3, "learning_rate": 0.02}
    values = (x, y.astype(np.float32))
    found = intaglio.compress(graph, {"step": [step, {"do": "quantize"}]}, values, values, "r", loss=squares)
    first, tuned, integers = (s.measured for s in found.steps)
    assert first.accuracy is None and tuned.loss < 0.6 * first.loss and integers.loss < 0.7 * first.loss
