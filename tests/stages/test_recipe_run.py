"""Running recipes: what comes out, the same bytes after an interruption at any moment, and what is refused."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_models
import torch
from digits_model import digits, trained

import intaglio
from intaglio import extras, graph_file, interpret
from intaglio.compress.prune import sparsity_of
from intaglio.emit import tflite as writer
from intaglio.errors import DataError, OutputError, TrainingError
from intaglio.recipes import run as recipe_run
from intaglio.recipes.measure import Measured
from intaglio.train import checkpoint

torch.set_num_threads(1)
RECIPE = """
seed = 3

[[step]]
do = "prune"
how = "iterative"
sparsity = 0.6
rounds = 2
epochs = 2

[[step]]
do = "share"
entries = 16
epochs = 1

[[step]]
do = "quantize"
how = "aware"
epochs = 2
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ".cache"))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")  # midnight must not come between two runs
    Path("r.toml").write_text(RECIPE)


def few(part, n):
    """So many samples to train with (0), or to test (1)."""
    x, y = digits()[part]
    return x[:n], y[:n]


TRAIN, TEST = few(0, 320), few(1, 100)


def written(folder):
    """Every file of a run by its path, but for what it was started with and temporary ones."""
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}
    assert not [name for name in found if "/." in f"/{name}" or name.endswith(".pt")], found.keys()
    return found


def cheap(monkeypatch):
    """Nothing is linked or evaluated."""

    def measure(graph, test, loss, show, where, board):
        return Measured(None, None, None, 1, graph.macs(), 1, 0.0)

    monkeypatch.setattr(recipe_run, "measure", measure)


# ---- what comes out -----------------------------------------------------------------------------------------------


def test_a_recipe_whole(tmp_path):
    said = []
    found = intaglio.compress(
        trained(), "r.toml", TRAIN, TEST, "out", show=lambda text, done=0.0, total=None: said.append(text)
    )
    assert [s.do for s in found.steps] == ["input", "prune", "share", "quantize"]
    assert sorted(found.files) == ["model.itg", "model.tflite", "report.html", "report.json", "report.md"]
    # Zeros and shared values have come through all of it, into the integers.
    for sparsity in (s for step in found.steps[1:] for s in sparsity_of(step.graph).values()):
        assert sparsity >= 0.59
    for node in found.graph.nodes:
        if node.op.name in ("conv2d", "depthwise_conv2d", "fully_connected"):
            assert len(np.unique(found.graph.tensors[node.inputs[1]].data)) <= 16
    # What is on disk is what is returned, and both files compile to the same C.
    assert graph_file.write(graph_file.load("out/model.itg")) == graph_file.write(found.graph)
    graphs = [intaglio.load(f"out/model.{suffix}") for suffix in ("itg", "tflite")]
    x = np.random.default_rng(0).integers(-128, 128, (20, 1, 8, 8, 1), np.int8)
    assert (interpret.run(graphs[0], [x])[0] == interpret.run(graphs[1], [x])[0]).all()
    # The figures are those of the models.
    report = json.loads(Path("out/report.json").read_text())
    steps = report["steps"]
    assert [s["do"] for s in steps] == [s.do for s in found.steps]
    right = intaglio.evaluate(found.graph, "host", TEST[0], TEST[1]).top1
    assert steps[-1]["accuracy"] == right > steps[0]["accuracy"] - 0.25
    assert steps[-1]["weight_bytes"] < steps[0]["weight_bytes"] / 3.5
    assert (steps[-1]["flash_bytes"] or 0) < (steps[0]["flash_bytes"] or 1)
    assert report["recipe"]["seed"] == 3 and report["recipe"]["step"][0]["sparsity"] == 0.6
    assert any("step 1 of 3 (prune), round 2 of 2, epoch 2/2, loss" in text and "accuracy" in text for text in said)
    page = Path("out/report.html").read_text()
    assert "<svg" in page and page.count("<circle") == 4 and "http" not in page and "<script" not in page
    table = Path("out/report.md").read_text()
    assert f"| 3 | quantize | {right:.2%} |" in table and str(tmp_path) not in page + table


def test_steps_have_random_numbers_of_their_own(monkeypatch):
    """A step does the same whatever ran before it, if it is given the same graph."""
    cheap(monkeypatch)
    step = {"do": "fine-tune", "epochs": 1}
    torch.manual_seed(1)
    a = intaglio.compress(trained(), {"step": [step, step]}, TRAIN, TEST, "a")
    torch.manual_seed(2)
    b = intaglio.compress(trained(), {"step": [step, step]}, TRAIN, TEST, "b")
    other = intaglio.compress(trained(), {"seed": 1, "step": [step]}, TRAIN, TEST, "c")
    first, second = (graph_file.write(s.graph) for s in a.steps[1:])
    assert [graph_file.write(s.graph) for s in b.steps[1:]] == [first, second]
    assert graph_file.write(other.graph) != first
    again = intaglio.compress(a.steps[1].graph, {"step": [{"do": "fine-tune", "epochs": 0}, step]}, TRAIN, TEST, "d")
    assert graph_file.write(again.graph) == second


def test_the_users_own_loader_and_loss():
    class Loader:
        def __len__(self):
            return 5

        def __iter__(self):
            for k in range(5):
                yield torch.tensor(TRAIN[0][k::5]), torch.tensor(TRAIN[1][k::5])

    calls = []

    def smooth(outputs, targets):
        calls.append(len(targets))
        return torch.nn.functional.cross_entropy(outputs, targets, label_smoothing=0.1)

    recipe = {"step": [{"do": "prune", "sparsity": 0.5, "epochs": 2}, {"do": "quantize"}]}
    found = intaglio.compress(trained(), recipe, Loader(), [TEST], "out", loss=smooth)
    assert calls.count(64) >= 10 and found.steps[-1].measured.accuracy > found.steps[0].measured.accuracy - 0.2
    assert 0.4 < found.steps[-1].measured.loss < 2
    cell = Path("out/report.md").read_text()
    assert f"| {found.steps[-1].measured.loss:.4f} |" in cell


def test_lossless_needs_no_data_and_no_pytorch():
    Path("m.itg").write_bytes(graph_file.write(tiny_models.image()))
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import intaglio; found = intaglio.compress('m.itg', 'lossless', out='out')\n"
        "assert found.steps[1].do == 'lossless' and found.steps[1].measured.accuracy is None"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(Path("out/report.json").read_text())["steps"][1]["do"] == "lossless"
    needs = code.replace("'lossless', out", "'r.toml', out").replace("m.itg", "f.itg").replace("='out'", "='out2'")
    Path("f.itg").write_bytes(graph_file.write(tiny_models.floats()))
    done = subprocess.run([sys.executable, "-c", needs], capture_output=True, text=True)
    assert "ToolError" in done.stderr and extras.INSTALL["torch"] in done.stderr
    assert not Path("out2").exists()


# ---- interrupted --------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def test_killed_after_each_file_that_it_writes_it_ends_with_the_same_bytes(monkeypatch):
    cheap(monkeypatch)
    whole = intaglio.compress(trained(), "r.toml", TRAIN, TEST, "whole")
    expected = written("whole")
    real = recipe_run.write_file
    left = 0

    def dies(path, data, keep=()):
        nonlocal left
        real(path, data, keep)
        left -= 1
        if not left:
            raise Killed

    for module in (recipe_run, graph_file, checkpoint):
        monkeypatch.setattr(module, "write_file", dies)
    lives = 0
    while True:
        left, lives = 1, lives + 1
        torch.manual_seed(lives)
        try:
            # What a run of its own would leave half written.
            for place in Path("out").glob("state/*/"):
                (place / ".graph.itg.x1.intaglio").write_bytes(b"half")
            found = intaglio.compress(trained(), "r.toml", TRAIN, TEST, "out")
            break
        except Killed:
            assert lives < 100
    # run.json, the input, 2 x 2 + 1 + 2 epochs, two files a step; the last ones are written anew each time.
    assert lives >= 2 + 7 + 6
    assert written("out") == expected and graph_file.write(found.graph) == graph_file.write(whole.graph)


def command(folder, *options):
    files = ("m.tflite", "--recipe", "r.toml", "--train", "train.npz", "--test", "test.npz", "-o", folder)
    return [sys.executable, "-m", "intaglio", "compress", *files, *options]


def prepare():
    Path("m.tflite").write_bytes(writer.write(trained()))
    for name, (x, y) in (("train.npz", TRAIN), ("test.npz", TEST)):
        np.savez(name, x=x, y=y)


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_killed_at_random_moments_the_same_command_ends_with_the_same_bytes(kills):
    """The real thing: a process, SIGKILL, whatever it is doing."""
    prepare()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    started = time.monotonic()
    done = subprocess.run(command("whole"), **quiet)
    lasted = time.monotonic() - started
    assert done.returncode == 0, done.stderr
    quiet["env"]["XDG_CACHE_HOME"] = str(Path("cache").resolve())  # what is judged already would take no time
    seed = random.SystemRandom().randrange(1 << 32)
    rng, killed = random.Random(seed), []
    for _ in range(kills):
        # It may be anything from Python starting to the last file; more often what takes longer.
        process = subprocess.Popen(command("out"), **quiet)
        try:
            process.wait(rng.uniform(0.25, 0.9) * lasted)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed.append(sorted(p.name for p in Path("out").rglob("*")) if Path("out").exists() else [])
        process.stderr.close()
    done = subprocess.run(command("out"), **quiet)
    assert done.returncode == 0, done.stderr
    assert killed, f"it was never killed: seed {seed}"
    assert written("out") == written("whole"), f"seed {seed}, killed with {killed}"


# ---- refused ------------------------------------------------------------------------------------------------------

SHORT = {"step": [{"do": "fine-tune", "epochs": 1}]}


def again(folder="out", graph=None, recipe=None, train=TRAIN, test=TEST, **options):
    return intaglio.compress(graph or trained(), recipe or SHORT, train, test, folder, **options)


def test_a_folder_is_of_one_run_unless_told(monkeypatch):
    cheap(monkeypatch)
    again()
    before = written("out")
    tensors = dict(trained().tensors)
    name = next(n for n, t in tensors.items() if t.data is not None)
    tensors[name] = replace(tensors[name], data=tensors[name].data * np.float32(1.5))
    for other, said in (
        ({"graph": replace(trained(), tensors=tensors)}, "another model"),
        ({"recipe": {"seed": 1, **SHORT}}, "another recipe"),
        ({"recipe": {"step": [{"do": "fine-tune", "epochs": 2}]}}, "another recipe"),
        ({"train": few(0, 321)}, "another training data"),
        ({"train": (TRAIN[0], 9 - TRAIN[1])}, "another training data"),
        ({"test": few(1, 99)}, "another test data"),
        ({"test": None}, "another test data"),
        ({"loss": torch.nn.functional.cross_entropy}, "another loss"),
    ):
        with pytest.raises(OutputError, match=f"is of a run with {said}.*--restart"):
            again(**other)
        assert written("out") == before
    again()
    again(recipe={"step": [{"do": "fine-tune", "epochs": 0}]}, restart=True)
    assert written("out")["state/run.json"] != before["state/run.json"]
    again(restart=True)
    assert written("out") == before


def test_a_folder_of_something_else_is_not_touched():
    Path("out").mkdir()
    Path("out/precious").write_text("x")
    for options in ({}, {"restart": True}):
        with pytest.raises(OutputError, match="holds other files"):
            again(**options)
    Path("file").write_text("x")
    with pytest.raises(OutputError, match="not a folder"):
        again("file")
    with pytest.raises(OutputError, match="cannot be written"):
        again("file/out")
    assert written("out") == {"precious": b"x"}


def test_nothing_of_the_users_is_written_over_or_removed(monkeypatch):
    cheap(monkeypatch)
    again()
    first = written("out")
    for name in ("out/notes.txt", "out/report.md.swp", "out/state/mine", "out/state/01-fine-tune/.notes.swp"):
        Path(name).write_text("mine")
    again()
    with pytest.raises(OutputError, match=r"01-fine-tune/\.notes\.swp"):
        again(restart=True)
    Path("out/state/01-fine-tune/.notes.swp").unlink()
    again(restart=True)
    kept = dict.fromkeys(("notes.txt", "report.md.swp", "state/mine"), b"mine")
    assert written("out") == {**first, **kept}
    for name in ("model.itg", "report.md"):
        Path("out", name).write_text("mine")
        for options in ({}, {"restart": True}):
            with pytest.raises(OutputError, match=f"changed since they were written: {name}"):
                again(**options)
        assert Path("out", name).read_text() == "mine"
        Path("out", name).unlink()
        again()
    assert written("out") == {**first, **kept}


def test_a_run_that_cannot_be_cleared_is_named(monkeypatch):
    cheap(monkeypatch)
    again()

    def rmdir(path):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "rmdir", rmdir)
    with pytest.raises(OutputError, match=r"out: cannot be written \(Read-only file system\)"):
        again(restart=True)


def test_damaged_state_is_named(monkeypatch):
    cheap(monkeypatch)
    again()
    for name, error, said in (
        ("state/01-fine-tune/graph.itg", OutputError, "graph.itg.*--restart"),
        ("state/01-fine-tune/measured.json", OutputError, "measured.json.*--restart"),
        ("state/measured.json", OutputError, "measured.json.*--restart"),
        ("state/run.json", OutputError, "run.json"),
    ):
        kept = Path("out", name).read_bytes()
        for broken in (b"{", b"[]", b"", b'{"accuracy": "high"}'):
            Path("out", name).write_bytes(broken)
            with pytest.raises(error, match=said):
                again()
        Path("out", name).write_bytes(kept)
    again()


def test_a_loss_that_is_not_a_number_stops_and_the_last_good_epoch_stays(monkeypatch):
    cheap(monkeypatch)
    count = 0

    def loss(outputs, targets):
        nonlocal count
        count += 1
        return torch.nn.functional.cross_entropy(outputs, targets) * (float("nan") if count > 7 else 1)

    recipe = {"step": [{"do": "prune", "sparsity": 0.5, "epochs": 3}]}
    with pytest.raises(TrainingError) as caught:
        again(recipe=recipe, loss=loss)  # 5 steps an epoch
    assert "step 1 (prune), epoch 2, step 3: the loss is nan" in str(caught.value)
    assert "last_good.itg" in str(caught.value) and "--restart" in str(caught.value)
    good = graph_file.load("out/state/01-prune/last_good.itg")
    # It is the model after one epoch, which the same command trains to as well.
    count = -1000
    whole = again("whole", recipe=recipe, loss=loss)
    checkpointed = torch.load("out/state/01-prune/training.pt", weights_only=True)
    weights = next(n.inputs[1] for n in good.nodes if n.op.name == "fully_connected")
    kept = checkpointed["module"]["layers.linear.parametrizations.weight.original"].numpy()
    found = good.tensors[weights].data
    assert ((found == kept) | (found == 0)).all() and (found != 0).mean() == pytest.approx(0.5, abs=0.01)
    assert not (found == whole.graph.tensors[weights].data).all()
    assert not Path("out/report.json").exists()


def test_the_device_says_so_too_when_weights_leave_the_floats(monkeypatch):
    cheap(monkeypatch)
    recipe = {"step": [{"do": "fine-tune", "optimizer": "sgd", "learning_rate": 1e30, "epochs": 2}]}
    with pytest.raises(TrainingError, match=r"step 1 \(fine-tune\), epoch 1.*last_good.itg"):
        again(recipe=recipe)
    aware = {"do": "quantize", "how": "aware", "learning_rate": 1e30, "epochs": 1}
    with pytest.raises(TrainingError, match=r"step 1 \(quantize\).*(holds NaN|reaches).*last_good.itg"):
        again("aware", recipe={"step": [aware]})


def test_a_step_that_would_remove_a_whole_layer(monkeypatch):
    cheap(monkeypatch)
    tensors = dict(trained().tensors)
    weights = next(n.inputs[1] for n in trained().nodes if n.name == "linear")
    tensors[weights] = replace(tensors[weights], data=tensors[weights].data * np.float32(1e-6))
    recipe = {"step": [{"do": "prune", "sparsity": 0.9, "scope": "global"}]}
    with pytest.raises(DataError, match=r"step 1 \(prune\).*layer 'linear'.*none of its 4096 weights would be left"):
        again(graph=replace(trained(), tensors=tensors), recipe=recipe)


def test_labels_only_where_they_are_needed(monkeypatch):
    cheap(monkeypatch)
    np.savez("x.npz", x=TRAIN[0])
    found = again(train="x.npz", recipe={"step": [{"do": "quantize"}]})
    assert found.graph.tensors[found.graph.inputs[0]].dtype == "int8"
    with pytest.raises(DataError, match=r"x.npz: holds no array y, and step 1 \(prune\) needs it"):
        again("b", train="x.npz", recipe={"step": [{"do": "prune", "sparsity": 0.5}]})
    np.savez("huge.npz", x=TRAIN[0].astype(float) * 1e300, y=TRAIN[1])
    with pytest.raises(DataError, match=r"huge.npz.*Allowed: finite numbers"):
        again("c", train="huge.npz")


@pytest.mark.parametrize(("train", "said"), [
    (None, r"training data: is missing, and step 1 \(fine-tune\) needs it"),
    ((TRAIN[0], TRAIN[1][:-1]), r"y: has shape \[319\]"),
    ((TRAIN[0], TRAIN[1] + 1), "y: holds 10 at .* 0 to 9: the model has 10 outputs"),
    ((TRAIN[0], TRAIN[1] - 1), "y: holds -1 at"),
    ((TRAIN[0], TRAIN[1].astype(float)), "y: has dtype float64.*integers"),
    ((TRAIN[0], np.eye(10)[TRAIN[1]]), r"y: has shape \[320, 10\]"),
    ((TRAIN[0][:, :7], TRAIN[1]), r"x: has shape \[320, 7, 8, 1\].*8, 8, 1"),
    (((TRAIN[0] * 16).astype(np.uint8), TRAIN[1]), "x: has dtype uint8"),
    ((TRAIN[0] * np.float32(np.nan), TRAIN[1]), "x: holds nan"),
    ({"x": TRAIN[0]}, "holds no array y"),
    ({"z": TRAIN[0], "y": TRAIN[1]}, "holds no array input; it holds y, z. Allowed: input or x"),
    (3, "is int"),
    (iter([TRAIN]), "only once"),
    ([], "holds no sample"),
    ([(TRAIN[0], TRAIN[1] + 1)], "batch 0: y: holds 10"),
    ([(TRAIN[0], TRAIN[1][1:])], "batch 0: y: has shape"),
    ([(TRAIN[0][..., 0], TRAIN[1])], "batch 0: x is float32.*8, 8, 1"),
    ([TRAIN[0]], "batch 0: is ndarray"),
])  # fmt: skip
def test_data_that_does_not_fit(monkeypatch, train, said):
    cheap(monkeypatch)
    with pytest.raises(DataError, match=said):
        again(train=train)
    assert not Path("out/report.json").exists()
