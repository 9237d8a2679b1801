"""LeNet-5 and ResNet-8, trained from scratch: what each way to integers costs in accuracy, and saves in flash.

Float training first (training.py), then post-training and quantization-aware variants of the same weights. Accuracy is
that of the C on this computer over all 10,000 test images; flash is that of the image for the Cortex-M4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import networks
import numpy as np
import torch
import training
from common import differing, firmware, publish, table
from ptq import on_host, right

import intaglio
from intaglio import arrays, interpret, models, runners
from intaglio.graph import Graph
from intaglio.quantize.post_training import post_training
from intaglio.train import quantization_aware, to_graph
from intaglio.train.loop import Settings, evaluate, fit

BOARD = "qemu-mps2-an386"
CALIBRATION = 512
SAME_ON_HOST, SAME_ON_M4 = 1000, 32
THREADS = 1
"""Of quantization-aware training, which is made of many short operations."""
FROZEN = 0.5
"""The part of quantization-aware training in which ranges are learned as well."""


@dataclass(frozen=True)
class Network:
    """What is trained, and how it is fine-tuned to integers."""

    title: str
    trained: Callable[[], Any]
    data: Callable[[str], networks.Images]
    first_and_last: tuple[str, ...]
    """Layers that partial quantization leaves in float32."""
    tune: dict[str, Settings]
    """By variant: the quantization-aware training."""
    augment: Callable[[Any], Any] | None = None
    allowed: dict[str, float] = field(default_factory=dict)
    """Points of accuracy that a variant may lose."""


POST_TRAINING: dict[str, dict[str, Any]] = {
    "int8": {},
    "int8, learned rounding": {"rounding": "learned"},
    "16x8": {"activation_bits": 16},
    "int4 weights": {"weight_bits": 4},
    "int4 weights, learned rounding": {"weight_bits": 4, "rounding": "learned"},
}
AWARE: dict[str, dict[str, Any]] = {"int8 QAT": {}, "int4 weights, QAT": {"weight_bits": 4}}
NETWORKS = {
    "lenet5": Network(
        "LeNet-5 on MNIST", training.lenet5, networks.mnist, ("conv2d", "linear_1"),
        {
            "int8 QAT": Settings(epochs=2, learning_rate=1e-4, seed=training.SEED),
            "int4 weights, QAT": Settings(epochs=4, learning_rate=3e-4, seed=training.SEED),
        },
        None, {"int8": 0.1},
    ),
    "resnet8": Network(
        "ResNet-8 on cifar10_jpeg", training.resnet8, networks.cifar, ("conv2d", "linear"),
        {
            "int8 QAT": Settings(
                epochs=1, learning_rate=0.002, optimizer="sgd", weight_decay=1e-4, warmup=0.05, seed=training.SEED
            ),
            "int4 weights, QAT": Settings(
                epochs=4, learning_rate=0.002, optimizer="sgd", weight_decay=1e-4, warmup=0.05, seed=training.SEED
            ),
        },
        networks.flipped_and_shifted, {"int8": 0.5, "int8 QAT": 0.2, "int4 weights, QAT": 1.0},
    ),
}  # fmt: skip


def main() -> None:
    results = {name: judged(name, network) for name, network in NETWORKS.items()}
    publish("trained", report(results), results)


def judged(name: str, network: Network) -> dict[str, Any]:
    """Every variant of one network."""
    module = network.trained()
    (x, y), test = network.data("train"), network.data("test")
    graph = intaglio.from_torch(module, x[:1], name)
    images, labels = nhwc(test[0]), test[1].numpy()
    calibration = nhwc(x[:CALIBRATION])
    found: dict[str, Any] = {
        "test_images": len(labels),
        "float": {"right": round(evaluate(module, test)[1] * len(labels)), **sizes(graph)},  # type: ignore[operator]
    }
    print(name, "float", found["float"], flush=True)
    variants = {label: post_training(graph, calibration, **how) for label, how in POST_TRAINING.items()}
    variants["int8, first and last layer in float32"] = post_training(
        graph, calibration, keep_float=network.first_and_last
    )
    for label, how in AWARE.items():
        variants[label], same = aware(name, label, network, graph, how, (x, y), calibration, images)
        found.setdefault("same_bytes", {})[label] = same
    for label, variant in variants.items():
        found[label] = {**right(on_host(variant, images), labels, 0), **sizes(variant)}
        print(name, label, found[label], flush=True)
    return found


def aware(
    name: str, label: str, network: Network, graph: Graph, how: dict[str, Any], data: networks.Images,
    calibration: Any, images: Any,
) -> tuple[Graph, dict[str, int]]:  # fmt: skip
    """Fine-tuned in integers; and how many bytes differ between the module, NumPy, the host and the M4."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(training.SEED)
    module = quantization_aware(graph, calibration, **how)
    x = torch.as_tensor(nhwc(data[0]))
    augment = network.augment

    def freeze(part: float) -> None:
        if part >= FROZEN:
            module.freeze_ranges()

    fit(
        module, (x, data[1]), network.tune[label],
        augment=None if augment is None else lambda b: augment(b.permute(0, 3, 1, 2)).permute(0, 2, 3, 1),
        checkpoint=training.CHECKPOINTS / f"{name}-{label.replace(' ', '-').replace(',', '')}.pt",
        after_step=freeze, after_epoch=lambda e: print(name, label, e, flush=True),
    )  # fmt: skip
    quantized = to_graph(module)
    return quantized, same_bytes(module, quantized, images[:SAME_ON_HOST])


def same_bytes(module: Any, graph: Graph, images: Any) -> dict[str, int]:
    """Output bytes that differ from those of the module in eval mode."""
    q = arrays.batch({"x": images}, models.ports(graph)[0], "images").arrays[0]
    want = module.integers(images)
    numpy = interpret.run(graph, [q])
    with firmware(graph, "host") as fw:
        host = runners.run(fw, [q]).outputs
    with firmware(graph, BOARD) as fw:
        m4 = runners.run(fw, [q[:SAME_ON_M4]]).outputs
    flat = [w.reshape(len(images), -1) for w in want]
    shaped = lambda rows: [r.reshape(len(r), -1) for r in rows]  # noqa: E731
    return {
        "images": len(images), "images_on_m4": SAME_ON_M4, "bytes": sum(w.size for w in flat),
        "numpy": differing(flat, shaped(numpy)), "host": differing(flat, shaped(host)),
        "m4": differing([w[:SAME_ON_M4] for w in flat], shaped(m4)),
    }  # fmt: skip


def sizes(graph: Graph) -> dict[str, int]:
    """Flash of the image for the Cortex-M4."""
    with firmware(graph, BOARD) as fw:
        s = fw.sizes
        return {"flash": s.flash_bytes, "code": s.flash_code_bytes, "weights": s.flash_weight_bytes}


def nhwc(x: Any) -> Any:
    return np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())


def report(results: dict[str, dict[str, Any]]) -> str:
    """benchmarks/results/trained.md."""
    lines = [
        "# Trained from scratch, then quantized", "",
        "Made by `make bench` (benchmarks/trained.py; the networks and their training: networks.py, training.py).",
        "Accuracy: the generated C on the host, 10,000 test images (float: PyTorch). Flash: the image for the",
        "Cortex-M4.", "",
    ]  # fmt: skip
    for name, found in results.items():
        network, n = NETWORKS[name], found["test_images"]
        rows = []
        for label in ("float", *POST_TRAINING, "int8, first and last layer in float32", *AWARE):
            one = found[label]
            lost = (found["float"]["right"] - one["right"]) / n * 100
            limit = network.allowed.get(label)
            rows.append([
                label, f"{one['right'] / n:.2%}", f"{lost:+.2f}", "" if limit is None else f"{limit:.1f}",
                one["flash"], one["weights"], one["code"],
            ])  # fmt: skip
        header = ["", "accuracy", "points lost", "allowed", "flash", "weights and biases", "code"]
        lines += [f"## {network.title}", "", table(header, rows)]
        for label, same in found["same_bytes"].items():
            lines.append(
                f"{label}: bytes that differ from the trained module's, of {same['bytes']:,} over {same['images']:,} "
                f"images: NumPy {same['numpy']}, host {same['host']}; M4, {same['images_on_m4']} images: {same['m4']}."
            )
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
