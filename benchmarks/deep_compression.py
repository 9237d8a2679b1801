"""Deep Compression (Han et al., ICLR 2016) of LeNet-300-100 and LeNet-5 on MNIST, executed compressed.

A dense network is trained from scratch (training.py). Its weights are pruned while it trains on, the dense network
being its teacher; those that are left share a few values, which are tuned; then come int8 and the lossless removal of
neurons that have become constant. The device executes what is left from entropy-coded weights.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import networks
import numpy as np
import torch
import training
from common import CORES, differing, firmware, publish, table
from trained import nhwc

import intaglio
from intaglio import arrays, interpret, models, profile, runners
from intaglio.build import Firmware, symbols
from intaglio.compress.distil import Distillation, Distilling
from intaglio.compress.gradual import Gradual
from intaglio.compress.lossless import lossless
from intaglio.compress.prune import keep_zeros
from intaglio.compress.share import share
from intaglio.graph import Graph
from intaglio.quantize.post_training import post_training
from intaglio.select.weights import choose_encodings
from intaglio.train import to_graph, to_module
from intaglio.train.loop import Settings, evaluate, fit

BOARDS = ("M0+", "M4")
COMPARED = 200
"""Test images whose outputs are compared on every board."""
COUNTED = 8
"""Of them those that instructions are counted on."""
TABLES = ("tables",)
CODES = ("stream", "weights", "bitmap", "gaps", "positions", "values")
SCALES = ("multiplier", "shift")
"""The parts of a layer, by the names of its arrays in C."""
THREADS = 1
CALIBRATION = 1000
TAUGHT = Distilling(labels=0.5, soft=0.5, temperature=4.0)
SCHEDULE: dict[str, Any] = {"end": 0.6, "updates": 100}
"""Of gradual pruning: the rest of the epochs is fine-tuning."""


@dataclass(frozen=True)
class Variant:
    """How far a network is compressed, and what is asked of the result."""

    smaller: float
    """At least so many times than the float32 weights and biases."""
    error: float
    """At most, in percent of the test images."""
    kept: Mapping[str, float]
    """The part of each layer's weights that is not pruned."""
    entries: int
    """Of each layer's codebook, zero included."""
    prune: Settings
    tune: Settings


@dataclass(frozen=True)
class Network:
    """A dense network and its variants, each of which starts from the pruned weights of the one before."""

    title: str
    trained: Callable[[], Any]
    variants: Mapping[str, Variant]


NETWORKS = {
    "lenet300": Network(
        "LeNet-300-100", training.lenet300,
        {
            "lenet300": Variant(
                45, 1.60, {"linear": 0.025, "linear_1": 0.07, "linear_2": 0.4}, 8,
                Settings(epochs=12, learning_rate=2e-3, seed=training.SEED),
                Settings(epochs=3, learning_rate=3e-4, seed=training.SEED),
            ),
        },
    ),
    "lenet5": Network(
        "LeNet-5", training.lenet5,
        {
            "lenet5": Variant(
                60, 0.80, {"conv2d": 0.7, "conv2d_1": 0.12, "linear": 0.02, "linear_1": 0.2}, 16,
                Settings(epochs=8, learning_rate=1e-3, seed=training.SEED),
                Settings(epochs=2, learning_rate=2e-4, seed=training.SEED),
            ),
            "lenet5_small": Variant(
                100, 0.95, {"conv2d": 0.4, "conv2d_1": 0.05, "linear": 0.005, "linear_1": 0.12}, 8,
                Settings(epochs=6, learning_rate=1e-3, seed=training.SEED),
                Settings(epochs=2, learning_rate=2e-4, seed=training.SEED),
            ),
        },
    ),
}  # fmt: skip


def compressed(dense: Graph, pruned: Graph, name: str, variant: Variant) -> tuple[Graph, Graph]:
    """The variant's float graph, pruned, from that of the one before; and with shared weights."""
    x, y = networks.mnist("train")
    data = torch.as_tensor(nhwc(x)), y
    module = to_module(pruned)
    gradual = Gradual(module, {layer: 1 - part for layer, part in variant.kept.items()}, **SCHEDULE)
    _train(f"{name}-pruned", module, dense, data, variant, variant.prune, gradual)
    pruned = to_graph(module)
    module = to_module(pruned)
    keep_zeros(module)
    share(module, variant.entries)
    _train(f"{name}-shared", module, dense, data, variant, variant.tune)
    return pruned, to_graph(module)


def _train(
    name: str, module: Any, teacher: Graph, data: tuple[Any, Any], variant: Variant, settings: Settings,
    after_step: Gradual | None = None,
) -> None:  # fmt: skip
    torch.set_num_threads(THREADS)
    taught = Distillation(module, teacher, TAUGHT)
    # What a checkpoint does not know of itself is in its name: what training started from, and how.
    start = b"".join(value.numpy().tobytes() for value in module.state_dict().values())
    mark = zlib.crc32(repr((TAUGHT, SCHEDULE, variant)).encode(), zlib.crc32(start))
    fit(
        taught, data, settings, loss=taught.loss, augment=networks.written_otherwise, after_step=after_step,
        checkpoint=training.CHECKPOINTS / f"{name}-{mark:08x}.pt",
        after_epoch=lambda e: print(f"{name}: {e}", flush=True),
    )  # fmt: skip


def judge(name: str, network: Network, floats: Mapping[str, Graph], variant: Variant) -> dict[str, Any]:
    """All figures of one variant: its weights as the linked firmware holds them, its errors, its bytes compared.

    `floats` are the dense, the pruned and the shared network.
    """
    images, labels = networks.mnist("test")
    dense, calibration = floats["dense"], nhwc(networks.mnist("train")[0][:CALIBRATION])
    quantized = replace(post_training(floats["shared"], calibration), name=name)
    q = arrays.batch({"x": nhwc(images)}, models.ports(quantized)[0], "images").arrays[0]
    expected = interpret.run(quantized, [q[:COMPARED]])
    few = [e[:COUNTED] for e in expected]
    plain = lossless(quantized)
    stored = choose_encodings(plain, "size")
    outputs = {}
    for label, graph in (("dense", plain), ("compressed", stored)):
        with firmware(graph, "host") as fw:
            outputs[label] = runners.run(fw, [q]).outputs
    tested = torch.as_tensor(nhwc(images)), labels
    found: dict[str, Any] = {
        "title": network.title,
        "float32_bytes": sum(t.nbytes for t in dense.tensors.values() if t.is_const and t.dtype == "float32"),
        "test_images": len(labels),
        "right": int((outputs["compressed"][0].reshape(len(labels), -1).argmax(1) == labels.numpy()).sum()),
        "right_float32": {k: round(evaluate(to_module(g), tested)[1] * len(labels)) for k, g in floats.items()},
        "smaller_asked": variant.smaller, "error_asked": variant.error, "compared": COMPARED,
        "differing": {
            "host": differing([o[:COMPARED] for o in outputs["compressed"]], expected),
            "host, all images, from dense weights": differing(outputs["compressed"], outputs["dense"]),
        },
        "boards": {},
    }  # fmt: skip
    for core in BOARDS:
        with firmware(plain, CORES[core]) as fw:
            before = profile.profile(fw, [q[:COUNTED]], few).to_dict()
            kernels = code(fw, plain)
        with firmware(stored, CORES[core]) as fw:
            now = profile.profile(fw, [q[:COUNTED]], few).to_dict()
            found["differing"][core] = differing(runners.run(fw, [q[:COMPARED]]).outputs, expected)
            found["boards"][core] = {
                **figures(now), "dense": figures(before),
                "decoder_code": sum(size for name, size in code(fw, stored).items() if name not in kernels),
            }  # fmt: skip
            if core == "M4":
                found["layers"] = layers(fw, stored, dense)
    found["bytes"] = sum(layer["bytes"] for layer in found["layers"])
    return found


def layers(fw: Firmware, stored: Graph, dense: Graph) -> list[dict[str, Any]]:
    """What the linked firmware holds for each layer: the sizes of its arrays, by the symbols of the ELF file."""
    before = {n.name: dense.tensors[n.inputs[1]] for n in dense.nodes if n.op.weighted}
    now = {n.name: stored.tensors[n.inputs[1]] for n in stored.nodes if n.op.weighted}
    parts: dict[str, dict[str, int]] = {}
    for symbol, (_, size) in symbols(fw.elf).items():
        found = re.fullmatch(rf"{fw.manifest.model}_l(\d+)_(?:\d+_)?([a-z]+)", symbol)
        if found and found[2] != "params":  # sizes and addresses: code in all but name
            layer = parts.setdefault(fw.manifest.layers[int(found[1])].name, {})
            layer[found[2]] = layer.get(found[2], 0) + size
    if sum(v for p in parts.values() for k, v in p.items() if k not in SCALES) != fw.sizes.flash_weight_bytes:
        raise SystemExit(f"{fw.elf}: symbols hold {parts}, the manifest says {fw.sizes.flash_weight_bytes}")
    return [
        {
            "name": name, "weights": before[name].size, "left": t.size, "nonzeros": int(np.count_nonzero(t.data)),
            "values": len(np.unique(t.data)), "encoding": t.encoding or "dense", "parts": parts[name],
            "bytes": sum(parts[name].values()), "float32_bytes": before[name].nbytes + 4 * before[name].shape[0],
        }
        for name, t in now.items()
    ]  # fmt: skip


def figures(measured: dict[str, Any]) -> dict[str, Any]:
    return {"instructions": measured["latency"]["instructions"], **measured["memory"]}


def code(fw: Firmware, graph: Graph) -> dict[str, int]:
    """Bytes of each function of the kernels, by name."""
    return {name: size for name, (_, size) in symbols(fw.elf).items() if size and not name.startswith(graph.name)}


def main() -> None:
    results = {}
    for key, network in NETWORKS.items():
        dense = pruned = intaglio.from_torch(network.trained(), networks.mnist("train")[0][:1], key)
        for name, variant in network.variants.items():
            pruned, shared = compressed(dense, pruned, name, variant)
            results[name] = judge(name, network, {"dense": dense, "pruned": pruned, "shared": shared}, variant)
            print(f"{name}: {results[name]}", flush=True)
    publish("deep_compression", report(results), results)


def report(results: dict[str, dict[str, Any]]) -> str:
    """benchmarks/results/deep_compression.md."""
    lines = [
        "# Deep Compression on MNIST, executed compressed", "",
        "Made by `make bench` (benchmarks/deep_compression.py says how; training.py trains the dense networks). Bytes",
        "are those of the arrays in the ELF file linked for the Cortex-M4: codes with their tables, biases (int32),",
        "scales (multipliers and shifts of requantization). Float32 bytes are those of all weights and biases before.",
        "Errors are of the generated C on the host over all test images, a tie going to the first class. The decoder's",
        "code is that of all functions that the same model with dense weights does without. Instructions are counted",
        "in QEMU around the second inference. There is no validation set: how much goes of each layer was settled in",
        "a few trials by these same errors.", "",
    ]  # fmt: skip
    rows, devices = [], []
    for name, r in results.items():
        n = r["test_images"]
        rows.append([
            f"{r['title']} ({name})", r["float32_bytes"], r["bytes"], f"{r['float32_bytes'] / r['bytes']:.1f}",
            f"{r['smaller_asked']:g}", f"{(n - r['right']) / n:.2%}", f"{r['error_asked']:.2f}%",
            *(f"{(n - right) / n:.2%}" for right in r["right_float32"].values()),
        ])  # fmt: skip
        for core, b in r["boards"].items():
            devices.append([
                f"{name} on {core}", r["differing"][core], b["instructions"], b["dense"]["instructions"],
                b["flash_bytes"], b["dense"]["flash_bytes"], b["flash_code_bytes"], b["decoder_code"],
                b["arena_bytes"], b["stack_bytes"],
            ])  # fmt: skip
    header = [
        "", "float32 bytes", "bytes", "times smaller", "asked", "error", "at most", "error in float32: dense", "pruned",
        "shared",
    ]  # fmt: skip
    lines += [table(header, rows), "## Layer by layer", ""]
    for name, r in results.items():
        body = [
            [
                layer["name"], layer["weights"], layer["left"], layer["nonzeros"], layer["values"], layer["encoding"],
                *(sum(layer["parts"].get(k, 0) for k in keys) for keys in (TABLES, CODES, ("bias",), SCALES)),
                layer["bytes"], f"{layer['float32_bytes'] / layer['bytes']:.1f}",
            ]
            for layer in r["layers"]
        ]  # fmt: skip
        header = [
            name, "weights", "after lossless", "nonzeros", "values", "encoding", "tables", "codes", "biases", "scales",
            "bytes", "times smaller",
        ]  # fmt: skip
        lines += [table(header, body)]
    header = [
        "", f"bytes differing over {COMPARED} images", "instructions", "with dense weights", "flash",
        "with dense weights", "flash less weights", "of it decoder", "arena", "stack",
    ]  # fmt: skip
    lines += ["## On the device", "", table(header, devices)]
    for name, r in results.items():
        d = r["differing"]
        lines.append(
            f"{name} on the host: {d['host']} bytes differ from the NumPy reference over {r['compared']} images, "
            f"{d['host, all images, from dense weights']} from the C with dense weights over {r['test_images']:,}."
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
