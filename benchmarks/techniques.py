"""The five techniques of compression on two networks, each alone in its hard and its soft form, and together.

Every variant starts from the same float network (training.py), is fine-tuned on the training set, becomes int8, and is
judged as firmware: accuracy of the C on the host over all 10,000 test images; flash, RAM and instructions of the image
for the Cortex-M4. All but plain int8 are reduced losslessly, and their weights are stored as `--weights size` chooses.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import networks
import numpy as np
import torch
import training
from common import CORES, RESULTS, differing, firmware, publish, table
from plots import scatter
from ptq import portions, right

import intaglio
from intaglio import arrays, interpret, models, profile, runners
from intaglio.compress.analyses.importance import batch_norm_scale, l2
from intaglio.compress.distil import Distillation, Distilling
from intaglio.compress.gradual import Gradual
from intaglio.compress.lossless import lossless
from intaglio.compress.prune import keep_zeros, prune
from intaglio.compress.prune_channels import prune_channels
from intaglio.compress.share import share
from intaglio.compress.slim import slimming
from intaglio.compress.soft_share import SoftShare, harden
from intaglio.floats.run import run_float
from intaglio.floats.simplify import simplify
from intaglio.graph import Graph
from intaglio.quantize.post_training import post_training
from intaglio.select.weights import choose_encodings
from intaglio.train import quantization_aware, to_graph, to_module
from intaglio.train.loop import Settings, fit

BOARD = CORES["M4"]
CALIBRATION = 512
SAME = 8
"""Inputs for which the image's outputs are compared with the reference's."""
THREADS = 1
TUNED = Settings(
    epochs=2, learning_rate=0.02, optimizer="sgd", weight_decay=2e-4, warmup=0.05, seed=training.SEED
)  # fmt: skip
FOLDED = replace(TUNED, learning_rate=0.002)
"""Without batch norms, and in integers, steps must be small."""
SHARED = replace(TUNED, epochs=1, learning_rate=3e-4, optimizer="adam", weight_decay=0.0)
"""Of codebooks: the gradient of an entry is that of all its weights, thousands of times that of one."""
SPARSITY = 0.8
CHANNELS = 0.3
ENTRIES = 16
LARGE = 1000
"""Convolutions with fewer weights than this lose a smaller part of them; depthwise ones none: they hold little."""


@dataclass(frozen=True)
class Together:
    """The combined recipe for a network."""

    macs: float
    """The part of the multiply-accumulates that stays when channels go."""
    large: float
    small: float
    """The part of the weights that then goes, of convolutions with LARGE weights or more, and of others."""
    entries: int
    """Values that the weights of each of these layers take."""
    channels: Settings
    weights: Settings
    more: Settings
    """With the weights that are left."""
    tune: Settings
    """Of the values that they share."""


@dataclass(frozen=True)
class Work:
    """What the techniques need of one network."""

    name: str
    title: str
    graph: Graph
    """Float, with batch norms."""
    data: tuple[Any, Any]
    """NHWC, and class numbers."""
    calibration: Any
    first_and_last: tuple[str, ...]
    test: tuple[Any, Any]
    together: Together

    def fit(self, label: str, module: Any, settings: Settings, **how: Any) -> Any:
        """Trained in place; resumed from where an earlier run stopped."""
        torch.set_num_threads(THREADS)
        torch.manual_seed(training.SEED)
        path = training.CHECKPOINTS / f"{self.name}-{label.replace(' ', '-').replace(',', '')}.pt"
        fit(module, self.data, settings, augment=augmented, checkpoint=path,
            after_epoch=lambda e: print(self.name, label, e, flush=True), **how)  # fmt: skip
        return module

    def int8(self, graph: Graph, **how: Any) -> Graph:
        return post_training(graph, self.calibration, **how)


def augmented(x: Any) -> Any:
    return networks.flipped_and_shifted(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


# ---- the techniques: each from the float network to a quantized Graph -----------------------------------------------


def pruned_hard(w: Work, label: str) -> Graph:
    """Magnitude, one shot, the least weights wherever they are; then fine-tuning."""
    module = to_module(w.graph)
    prune(module, SPARSITY, scope="global")
    return w.int8(to_graph(w.fit(label, module, TUNED)))


def pruned_soft(w: Work, label: str) -> Graph:
    """A cubic schedule with regrowth, the same part of every layer but depthwise ones."""
    module = to_module(w.graph)
    schedule = Gradual(module, {name: SPARSITY for name, _ in dense(w.graph)}, end=0.6)
    return w.int8(to_graph(w.fit(label, module, TUNED, after_step=schedule)))


def channels_hard(w: Work, label: str) -> Graph:
    """The filters of least norm removed; then fine-tuning."""
    return w.int8(to_graph(w.fit(label, to_module(prune_channels(w.graph, CHANNELS, importance=l2)), TUNED)))


def channels_soft(w: Work, label: str) -> Graph:
    """Network slimming, removal by the scales of batch norms, fine-tuning."""
    slimmed = w.fit(f"{label}, before", to_module(w.graph), replace(TUNED, epochs=1), penalty=slimming(w.graph, 1e-3))
    graph = prune_channels(to_graph(slimmed), CHANNELS, importance=batch_norm_scale)
    return w.int8(to_graph(w.fit(label, to_module(graph), replace(TUNED, epochs=TUNED.epochs - 1))))


def quantized_hard(w: Work, label: str) -> Graph:
    """int8 after training: what all others are compared with."""
    return w.int8(w.graph)


def quantized_soft(w: Work, label: str) -> Graph:
    """Mixed precision: weights of 4 bits, of 8 in the first and the last layer; quantization-aware training."""
    bits = {"*": 4, **dict.fromkeys(w.first_and_last, 8)}
    return to_graph(w.fit(label, quantization_aware(w.graph, w.calibration, weight_bits=bits), FOLDED))


def student(w: Work) -> Graph:
    """The same network with fewer channels."""
    return prune_channels(w.graph, CHANNELS, importance=l2)


def distilled_hard(w: Work, label: str) -> Graph:
    """The student learns the classes that the teacher names."""
    return w.int8(distilled(w, label, student(w), Distilling(labels=0.0, hard=1.0, soft=0.0)))


def distilled_soft(w: Work, label: str) -> Graph:
    """The student learns the teacher's softened logits."""
    return w.int8(distilled(w, label, student(w), Distilling()))


def distilled(w: Work, label: str, graph: Graph, parts: Distilling, settings: Settings = TUNED) -> Graph:
    module = to_module(graph)
    taught = Distillation(module, w.graph, parts)
    w.fit(label, taught, settings, loss=taught.loss)
    return to_graph(module)


def shared_hard(w: Work, label: str) -> Graph:
    """k-means codebooks, their entries fine-tuned."""
    module = to_module(simplify(w.graph))
    share(module, ENTRIES)
    return w.int8(to_graph(w.fit(label, module, replace(SHARED, epochs=2))))


def shared_soft(w: Work, label: str) -> Graph:
    """Differentiable k-means, then the entries fine-tuned."""
    module = to_module(simplify(w.graph))
    w.fit(f"{label}, before", module, replace(FOLDED, epochs=1), after_step=SoftShare(module, ENTRIES))
    harden(module)
    return w.int8(to_graph(w.fit(label, module, SHARED)))


def combined(w: Work, label: str) -> Graph:
    """All five: channels removed, weights pruned, the others shared, int8; the original as teacher."""
    how = w.together
    smaller = prune_channels(w.graph, macs=round(how.macs * w.graph.macs()))
    smaller = distilled(w, f"{label}, channels", smaller, Distilling(), how.channels)
    module = to_module(smaller)
    taught = Distillation(module, w.graph)
    schedule = Gradual(module, {name: how.large if many else how.small for name, many in dense(smaller)}, end=0.6)
    w.fit(f"{label}, weights", taught, how.weights, loss=taught.loss, after_step=schedule)
    w.fit(f"{label}, more", taught, how.more, loss=taught.loss)
    pruned = simplify(to_graph(module))
    module = to_module(pruned)
    keep_zeros(module)
    share(module, {name: how.entries for name, _ in dense(pruned)})
    taught = Distillation(module, w.graph)
    w.fit(label, taught, how.tune, loss=taught.loss)
    return w.int8(to_graph(module))


def dense(graph: Graph) -> list[tuple[str, bool]]:
    """The convolutions over all channels and the fully connected layers, and whether they have many weights."""
    found = [n for n in graph.nodes if n.op.name in ("conv2d", "fully_connected")]
    return [(n.name, graph.tensors[n.inputs[1]].size >= LARGE) for n in found]


TECHNIQUES: dict[str, Callable[[Work, str], Graph]] = {
    "pruning, hard": pruned_hard,
    "pruning, soft": pruned_soft,
    "channels, hard": channels_hard,
    "channels, soft": channels_soft,
    "quantization, hard": quantized_hard,
    "quantization, soft": quantized_soft,
    "distillation, hard": distilled_hard,
    "distillation, soft": distilled_soft,
    "sharing, hard": shared_hard,
    "sharing, soft": shared_soft,
    "combined": combined,
}
BASELINE = "quantization, hard"


# ---- how they are judged ------------------------------------------------------------------------------------------


def main(*names: str) -> None:
    """`names` of networks: these alone, for a look; nothing is published then."""
    results = {w.title: judged(w) for w in works(names or NETWORKS)}
    if names:
        print(report(results))
        return
    publish("techniques", report(results), results)
    for title, found in results.items():
        points = {label: (one["flash"] / 1024, one["right"] / found["test_images"] * 100)
                  for label, one in found["variants"].items()}  # fmt: skip
        RESULTS.joinpath(picture(title)).write_text(scatter(title, "flash of the image, KiB", "accuracy, %", points))


SHORT, LONG = replace(TUNED, epochs=6, learning_rate=0.05), replace(TUNED, epochs=20, learning_rate=0.1)
NONE = replace(SHORT, epochs=0)
NETWORKS = {
    "resnet8": (
        "ResNet-8", lambda: training.resnet8(THREADS),
        Together(0.9, 0.5, 0.3, 32, replace(SHORT, epochs=3), SHORT, NONE, SHARED),
    ),
    "mobilenet": (
        "MobileNet", training.mobilenet,
        Together(0.85, 0.7, 0.5, 64, SHORT, LONG, replace(SHORT, epochs=8, weight_decay=5e-5), SHARED),
    ),
}  # fmt: skip


def works(names: Iterable[str]) -> list[Work]:
    """The networks; loaded once the data is."""
    data, test = networks.cifar("train"), networks.cifar("test")
    found = []
    for name in names:
        title, make, together = NETWORKS[name]
        graph = intaglio.from_torch(make(), data[0][:1], name)
        x = nhwc(data[0])
        judge, ends = (nhwc(test[0]), test[1].numpy()), ("conv2d", "linear")
        found.append(Work(name, title, graph, (torch.as_tensor(x), data[1]), x[:CALIBRATION], ends, judge, together))
    return found


def judged(w: Work) -> dict[str, Any]:
    images, labels = w.test
    floats = portions(lambda part: run_float(simplify(w.graph), [part])[0], images)
    found: dict[str, Any] = {"test_images": len(labels), "float": int((floats.argmax(1) == labels).sum()),
                             "float_weights": 4 * constants(w.graph), "variants": {}}  # fmt: skip
    for label, technique in TECHNIQUES.items():
        graph = technique(w, label)
        if label != BASELINE:
            graph = choose_encodings(lossless(graph), "size")
        found["variants"][label] = one = measured(graph, images, labels)
        print(w.name, label, one, flush=True)
    return found


def constants(graph: Graph) -> int:
    """Weights and biases, in numbers."""
    return sum(t.size for t in simplify(graph).tensors.values() if t.is_const)


def measured(graph: Graph, images: Any, labels: Any) -> dict[str, Any]:
    """Accuracy on the host; flash, RAM and instructions on the Cortex-M4, and that its outputs are the reference's."""
    q = arrays.batch({"x": images}, models.ports(graph)[0], "images").arrays[0]
    want = interpret.run(graph, [q[:SAME]])
    with firmware(graph, "host") as fw:
        outputs = portions(lambda part: runners.run(fw, [part]).outputs[0], q)
    with firmware(graph, BOARD) as fw:
        seen = profile.profile(fw, [q[:SAME]], want)
    memory = seen.to_dict()["memory"]
    return {
        **right(outputs, labels, 0), "macs": graph.macs(), "instructions": seen.latency.instructions,
        "flash": memory["flash_bytes"], "weights": memory["flash_weight_bytes"], "ram": memory["ram_bytes"],
        "differing_m4": differing(seen.result.outputs, want),
    }  # fmt: skip


def nhwc(x: Any) -> Any:
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())


def picture(title: str) -> str:
    return f"techniques-{title.lower()}.svg"


def report(results: dict[str, dict[str, Any]]) -> str:
    """benchmarks/results/techniques.md."""
    lines = [
        "# Techniques of compression, alone and together", "",
        "Made by `make bench` (benchmarks/techniques.py). cifar10_jpeg; accuracy: the generated C on the host, 10,000",
        "test images. Flash, RAM, instructions: the image for the Cortex-M4 in QEMU. Every variant starts from the",
        f"float network and is int8 in the end; fine-tuning: {TUNED.epochs} epochs at most, the combined recipe more.",
        f"All but plain int8 ({BASELINE}) are compiled as with `--lossless --weights size`. There is no",
        "validation set: the combined recipes were settled in a few trials by these same figures.", "",
    ]  # fmt: skip
    for title, _, how in NETWORKS.values():
        found = results.get(title)
        if found is None:
            continue
        n, base = found["test_images"], found["variants"][BASELINE]
        rows = []
        for label, one in found["variants"].items():
            rows.append([
                label, f"{one['right'] / n:.2%}", f"{(one['right'] - base['right']) / n * 100:+.2f}", one["flash"],
                f"{one['flash'] / base['flash']:.2f}", one["weights"], one["ram"], one["instructions"],
                f"{one['instructions'] / base['instructions']:.2f}", one["differing_m4"],
            ])  # fmt: skip
        header = ["", "accuracy", "points against int8", "flash", "of int8's", "weights and biases", "RAM",
                  "M4 instructions", "of int8's", f"M4 bytes that differ, {SAME} inputs"]  # fmt: skip
        said = f"Float: {found['float'] / n:.2%}, {found['float_weights']:,} bytes of weights."
        shown = f"![accuracy against flash]({picture(title)})"
        lines += [f"## {title}", "", said, "", shown, "", table(header, rows), recipe(how), ""]
    return "\n".join(lines)


def recipe(how: Together) -> str:
    """The combined recipe in words."""
    first, then, last = how.channels.epochs, how.weights.epochs + how.more.epochs, how.tune.epochs
    return (
        f"Combined: channels go until {how.macs:.0%} of the multiply-accumulates are left ({first} epochs); of the\n"
        f"weights, {how.large:.0%} in convolutions with {LARGE:,} or more and {how.small:.0%} in others, none in\n"
        f"depthwise ones ({then} epochs); {how.entries} values a layer ({last} epoch); int8 after training. The\n"
        "float network is the teacher throughout.\n"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
