"""train.fit: it learns, repeats itself, resumes to the same bytes, and says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from intaglio.errors import DataError, TrainingError
from intaglio.train.loop import Epoch, Settings, evaluate, factor, fit


def network() -> Any:
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Dropout(0.2), torch.nn.Linear(16, 3)
    )


def samples(n: int = 300) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    return x, (x @ rng.normal(size=(8, 3))).argmax(1).astype(np.uint8)


def same(a: Any, b: Any) -> bool:
    mine, other = a.state_dict(), b.state_dict()
    return all(torch.equal(mine[k], other[k]) for k in mine)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", lambda p: torch.optim.RMSprop(p, 0.01)])
def test_it_learns(optimizer: Any) -> None:
    module = network()
    epochs = fit(module, samples(), Settings(30, 32, 0.01, optimizer), validation=samples(), progress=False)
    assert [e.number for e in epochs] == list(range(1, 31))
    assert epochs[-1].loss < 0.5 * epochs[0].loss
    assert epochs[-1].validation_accuracy is not None and epochs[-1].validation_accuracy > 0.9
    assert not module.training
    assert evaluate(module, samples()) == (epochs[-1].validation_loss, epochs[-1].validation_accuracy)


def test_arrays_of_float64_train_a_module_of_float32() -> None:
    x, y = samples()
    wide = x.astype(np.float64)
    epochs = fit(network(), (wide, y), Settings(2), validation=(wide, y), progress=False)
    assert epochs == fit(network(), (x, y), Settings(2), validation=(x, y), progress=False)


def test_two_runs_give_the_same_bytes_and_another_seed_others() -> None:
    runs = []
    for seed in (1, 1, 2):
        module = network()
        fit(module, samples(), Settings(3, 32, 0.01, seed=seed), progress=False)
        runs.append(module)
    assert same(runs[0], runs[1]) and not same(runs[0], runs[2])


class Stop(Exception):
    pass


@pytest.mark.parametrize("last", [1, 4, 5])
def test_interrupted_in_the_middle_of_an_epoch_it_resumes_to_the_same_bytes(tmp_path: Path, last: int) -> None:
    settings = Settings(5, 32, 0.05, "sgd", warmup=0.2, keep_best=True)
    whole = network()
    expected = fit(whole, samples(), settings, validation=samples(50), progress=False)
    place = tmp_path / "run.pt"

    def stop(part: float) -> None:
        if part > last / 5 - 0.1:
            raise Stop

    with pytest.raises(Stop):
        fit(network(), samples(), settings, validation=samples(50), checkpoint=place, after_step=stop, progress=False)
    assert place.exists() == (last > 1)
    resumed = network()
    torch.manual_seed(99)  # whatever state random numbers are in
    found = fit(resumed, samples(), settings, validation=samples(50), checkpoint=place, progress=False)
    assert found == expected and same(whole, resumed)


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    settings, place = Settings(2, 32), tmp_path / "run.pt"
    first = network()
    fit(first, samples(), settings, checkpoint=place, progress=False)
    second = network()
    fit(second, samples(), settings, checkpoint=place, after_step=lambda _: pytest.fail("trained"), progress=False)
    assert same(first, second)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "run.pt"
    fit(network(), samples(), Settings(1, 32), checkpoint=place, progress=False)
    before = place.read_bytes()
    with pytest.raises(TrainingError, match=r"run\.pt: belongs to a run with batch = 32\. Allowed: 16"):
        fit(network(), samples(), Settings(1, 16), checkpoint=place, progress=False)
    with pytest.raises(TrainingError, match="another module"):
        fit(torch.nn.Linear(8, 3), samples(), Settings(1, 32), checkpoint=place, progress=False)
    assert place.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"junk", b"no checkpoint", b"PK\x03\x04", b"\x80\x04c__builtin__\neval\n."])
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    place = tmp_path / "run.pt"
    place.write_bytes(content)
    with pytest.raises(TrainingError, match="cannot be read as a checkpoint"):
        fit(network(), samples(), Settings(1), checkpoint=place, progress=False)


@pytest.mark.parametrize("content", [{}, {"version": 1}, {"version": 1, "settings": {}, "module": {}}, []])
def test_a_checkpoint_that_lacks_something_is_refused(tmp_path: Path, content: Any) -> None:
    place = tmp_path / "run.pt"
    torch.save(content, place)
    with pytest.raises(TrainingError, match="no checkpoint of this version"):
        fit(network(), samples(), Settings(1), checkpoint=place, progress=False)


def test_a_checkpoint_is_never_unpickled(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "owned",))

    place = tmp_path / "run.pt"
    torch.save({"version": 1, "settings": Evil()}, place)
    with pytest.raises(TrainingError):
        fit(network(), samples(), Settings(1), checkpoint=place, progress=False)
    assert not (tmp_path / "owned").exists()


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_epoch(tmp_path: Path) -> None:
    place = tmp_path / "run.pt"
    good = network()
    fit(good, samples(), Settings(2, 32, schedule="constant"), progress=False)
    spoiled = network()
    seen: list[float] = []

    def loss(outputs: Any, y: Any) -> Any:
        seen.append(0.0)
        value = torch.nn.functional.cross_entropy(outputs, y)
        return value * float("nan") if len(seen) == 2 * 9 + 4 else value

    with pytest.raises(TrainingError, match=r"epoch 3, step 4: the loss is nan"):
        fit(spoiled, samples(), Settings(5, 32, schedule="constant"), loss=loss, checkpoint=place, progress=False)
    assert same(good, spoiled) and not spoiled.training
    assert len(torch.load(place, weights_only=True)["epochs"]) == 2


def test_a_weight_that_is_not_finite_after_the_last_step_is_noticed() -> None:
    def endless(parameters: Any) -> Any:
        return torch.optim.SGD(parameters, 1.0, weight_decay=float("inf"))

    module = torch.nn.Linear(8, 3)
    with pytest.raises(TrainingError, match="holds NaN or infinity"):
        fit(module, samples(32), Settings(1, 32, 1.0, endless), progress=False)
    assert all(bool(torch.isfinite(p).all()) for p in module.parameters())


def test_it_stops_early_and_goes_back_to_the_best_epoch() -> None:
    module, states = network(), []
    x, y = samples()
    noise = np.random.default_rng(5).integers(0, 3, len(y))
    epochs = fit(
        module, (x, noise), Settings(200, 32, 0.02, schedule="constant", patience=5, keep_best=True),
        validation=(x, y), after_epoch=lambda e: states.append(e), progress=False,
    )  # fmt: skip
    assert len(epochs) < 200 and states == epochs
    best = max((e.validation_accuracy, -(e.validation_loss or 0)) for e in epochs)
    assert evaluate(module, (x, y)) == (-best[1], best[0])
    assert all((e.validation_accuracy, -(e.validation_loss or 0)) <= best for e in epochs[-5:])


def test_a_loader_of_ones_own_and_targets_that_are_no_classes() -> None:
    x, _ = samples(64)
    loader = [(torch.tensor(x[i : i + 16]), torch.tensor(x[i : i + 16, :3])) for i in range(0, 64, 16)]
    epochs = fit(network(), loader, Settings(5, learning_rate=0.01), loss=torch.nn.functional.mse_loss, progress=False)
    assert epochs[-1].loss < epochs[0].loss and epochs[0].accuracy is None


def test_schedules() -> None:
    for name, middle in (("constant", 1.0), ("cosine", 0.5), ("linear", 0.5), (lambda p: 1 - p * p, 0.75)):
        settings = Settings(1, schedule=name)  # type: ignore[arg-type]
        assert factor(settings, 0.0) == 1.0 and factor(settings, 0.5) == pytest.approx(middle)
    warm = Settings(1, warmup=0.5)
    assert 0 < factor(warm, 0.0) < 0.01 and factor(warm, 0.25) == pytest.approx(0.5, abs=0.01)
    assert factor(warm, 0.75) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (Settings(-1), "epochs"), (Settings(1, 0), "batch"), (Settings(1, learning_rate=0.0), "learning_rate"),
        (Settings(1, optimizer="lion"), "optimizer"), (Settings(1, schedule="steps"), "schedule"),  # type: ignore[arg-type]
        (Settings(1, patience=0), "patience"), (Settings(1, warmup=2.0), "warmup"),
        (Settings(1, clip=-1.0), "clip"), (Settings(1, momentum=-3.0), "momentum"), (Settings(1, seed=-5), "seed"),
        (Settings(1, weight_decay=-1.0), "weight_decay"), (Settings(1.5), "epochs"),  # type: ignore[arg-type]
        (Settings(1, learning_rate="a"), "learning_rate"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(settings: Settings, named: str) -> None:
    with pytest.raises(DataError, match=f"training, {named}: is "):
        fit(network(), samples(), settings, progress=False)


def test_data_that_does_not_fit_together() -> None:
    x, y = samples()
    with pytest.raises(DataError, match="training data"):
        fit(network(), (x, y[:5]), Settings(1), progress=False)
    with pytest.raises(DataError, match=r"has the label 3.*0 to 2"):
        fit(network(), (x, y + 1), Settings(1), progress=False)
    with pytest.raises(DataError, match=r"evaluation data.*has the label -1"):
        evaluate(network(), (x, y.astype(int) - 1))
    for targets in (None, ["a"] * len(x)):
        with pytest.raises(DataError, match="no pair of arrays"):
            fit(network(), (x, targets), Settings(1), progress=False)
    with pytest.raises(DataError, match="at least one"):
        fit(network(), [], Settings(1), progress=False)
    with pytest.raises(DataError, match="batch 0"):
        fit(network(), [x], Settings(1), progress=False)
    with pytest.raises(DataError, match="no parameter"):
        fit(torch.nn.ReLU(), (x, y), Settings(1), progress=False)


def test_an_epoch_is_plain_data() -> None:
    assert vars(Epoch(1, 0.5, None)) == {
        "number": 1, "loss": 0.5, "accuracy": None, "validation_loss": None, "validation_accuracy": None
    }  # fmt: skip


def test_a_penalty_is_part_of_the_loss_but_not_of_the_figures() -> None:
    parts: list[float] = []

    def penalty(module: Any, part: float) -> Any:
        parts.append(part)
        return 10.0 * sum(p.square().sum() for p in module.parameters())

    runs = []
    for chosen in (None, penalty):
        module = network()
        epochs = fit(module, samples(), Settings(2, 100, 0.05), penalty=chosen, progress=False)
        runs.append((float(module[0].weight.detach().norm()), epochs[0].loss))
    assert runs[1][0] < 0.7 * runs[0][0] and runs[1][1] < 3.0
    assert parts == pytest.approx([0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6])
    with pytest.raises(TrainingError, match="nan"):
        fit(network(), samples(), Settings(1), penalty=lambda m, part: m[0].weight.sum() * float("nan"), progress=False)


def test_before_each_step_the_part_that_is_done_is_told(tmp_path: Path) -> None:
    order: list[tuple[str, float]] = []
    settings = Settings(2, 100)
    fit(
        network(), samples(), settings, progress=False, checkpoint=tmp_path / "run.pt",
        before_step=lambda part: order.append(("before", round(part, 6))),
        after_step=lambda part: order.append(("after", round(part, 6))),
    )  # fmt: skip
    parts = [round(k / 6, 6) for k in range(7)]
    assert order == [(when, parts[k + (when == "after")]) for k in range(6) for when in ("before", "after")]


def test_what_the_bar_says_can_go_elsewhere() -> None:
    said: list[tuple[str, float, float]] = []
    epochs = fit(network(), samples(), Settings(3, 100), progress=lambda *line: said.append(line))
    assert said[-1] == (f"epoch 3/3, loss {epochs[-1].loss:.4f}, accuracy {epochs[-1].accuracy:.2%}", 3, 3)
    assert len(said) >= 3 and [done for _, done, _ in said] == sorted(done for _, done, _ in said)
