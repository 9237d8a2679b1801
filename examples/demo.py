"""The whole path, twice: a digits CNN trained here in PyTorch, and a wake-word model that people run every day.

Each is turned into C, built for emulated boards, run there, compared byte for byte, and measured: `make demo`.
"""

from __future__ import annotations

import sys

import digits
import numpy as np
import wake_word
from rich.console import Console
from rich.table import Table

import intaglio
from intaglio import boards, interpret, oracle, prepare, profile
from intaglio.emit import tflite as tflite_writer
from intaglio.graph import Graph

M4 = "qemu-mps2-an386"
BOARDS = {
    "Cortex-M0+": "qemu-m0plus-an385",
    "Cortex-M4": M4,
    "Cortex-M55": "qemu-mps3-an547",
    "Raspberry Pi 4": "qemu-rpi4",
}
FEW = 16
INFERENCES = 500


def measure(graph: Graph, board: str, inputs: np.ndarray, reference: list[np.ndarray]) -> profile.Report:
    """Compile for a board, run, compare with the reference."""
    with prepare.prepared(None, boards.load(board), graph) as firmware:
        return profile.profile(firmware, [inputs], reference)


def exact(ok: bool | None) -> str:
    return "[green]equal[/green]" if ok else "[red]DIFFERENT[/red]"


def digits_demo(console: Console) -> bool:
    console.rule("A digits CNN: PyTorch -> int8 -> C -> four boards")
    with console.status("training in PyTorch"):
        module, (x_train, _), (x_test, y_test) = digits.train()
    float_accuracy = digits.float_accuracy(module, (x_test, y_test))
    graph = digits.to_int8(module, x_train)
    q = digits.quantized(graph, x_test)
    expected = interpret.run(graph, [q])
    judged = oracle.run(tflite_writer.write(graph), [q])
    agrees = all(np.array_equal(a, b) for a, b in zip(expected, judged, strict=True))

    table = Table(title=f"{graph.name}: {graph.macs():,} multiply-accumulates")
    for heading in ("board", "inputs", "outputs", "flash", "of it code", "RAM", "arena", "stack", "instructions"):
        table.add_column(heading, justify="left" if heading == "board" else "right")
    fine, device_accuracy = agrees, 0.0
    for title, board in BOARDS.items():
        n = len(q) if board == M4 else FEW
        with console.status(f"{title}: building and running {n} inputs"):
            r = measure(graph, board, q[:n], [e[:n] for e in expected])
        if board == M4:
            device_accuracy = digits.accuracy(r.result.outputs[0], y_test)
        fine &= bool(r.bit_exact)
        m = r.memory
        cells = (m.flash_bytes, m.flash_code_bytes, m.ram_bytes, m.arena_bytes, m.stack_bytes, r.latency.instructions)
        table.add_row(title, str(n), exact(r.bit_exact), *("-" if c is None else f"{c:,}" for c in cells))
    console.print(table)
    console.print(
        f"test accuracy: float [bold]{float_accuracy:.2%}[/bold] in PyTorch, int8 [bold]{device_accuracy:.2%}[/bold] "
        f"on the emulated Cortex-M4 (all {len(q)} test images)."
    )
    console.print(f"the same model written as .tflite, in TFLM's reference kernels: {exact(agrees)} byte for byte.")
    console.print("bytes; instructions are counted in QEMU, they are not cycles.\n")
    return fine


def wake_word_demo(console: Console) -> bool:
    console.rule("A streaming wake-word model on the Cortex-M4")
    if not wake_word.espeak():
        console.print("skipped: espeak-ng is not installed (sudo apt-get install espeak-ng)")
        return True
    word = next(w for w in wake_word.wake_words() if w.name == "okay_nabu")
    sound, spoken = wake_word.scene(["okay nabu", "good morning everyone", "okay nabu"], INFERENCES * 0.03 + 0.2)
    graph = intaglio.load(word.path)
    x = graph.tensors[graph.inputs[0]]
    frames = wake_word.frames(wake_word.features(sound), x.scale, x.zero_point)[:INFERENCES]
    expected = oracle.run(word.path.read_bytes(), [frames])
    with console.status(f"running {len(frames)} inferences in the emulated Cortex-M4"):
        r = measure(graph, M4, frames, expected)
    console.print(
        f"{word.name}: {graph.macs():,} multiply-accumulates, {len(graph.states())} state tensors; "
        f"{len(frames)} inferences of 30 ms; outputs against TFLM: {exact(r.bit_exact)} byte for byte."
    )
    m = r.memory
    console.print(
        f"flash {m.flash_bytes:,} (code {m.flash_code_bytes:,}), RAM {m.ram_bytes:,} (arena {m.arena_bytes:,}), "
        f"stack {m.stack_bytes:,} bytes; {r.latency.instructions:,} instructions an inference."
    )
    heard = wake_word.detections(r.result.outputs[0], word)
    for start, text in spoken:
        hit = next((t for t in heard if start < t < start + 2.5), None)
        verdict = f"[bold green]detected at {hit:.2f} s[/bold green]" if hit else "not taken for the wake word"
        console.print(f"  said at {start:5.2f} s: {text!r:26} {verdict}")
    stray = [t for t in heard if not any(s < t < s + 2.5 for s, _ in spoken)]
    console.print(f"  noise: {len(stray)} false detections\n")
    return bool(r.bit_exact)


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    fine = digits_demo(console) & wake_word_demo(console)
    console.print("[bold green]all outputs equal[/bold green]" if fine else "[bold red]outputs differ[/bold red]")
    return 0 if fine else 1


if __name__ == "__main__":
    raise SystemExit(main())
