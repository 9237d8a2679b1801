"""The four wake-word models of pymicro-wakeword: 500 consecutive inferences, host and M4 against the oracle."""

from __future__ import annotations

import sys
from typing import Any

from common import ROOT, differing, firmware, publish, table

from intaglio import oracle, pipeline, profile, runners

sys.path.insert(0, str(ROOT / "examples"))
import wake_word

INFERENCES = 500


def main() -> None:
    spoken = ["alexa", "hey jarvis", "hey mycroft", "okay nabu", "good morning"]
    sound, _ = wake_word.scene(spoken, seconds=INFERENCES * 0.03 + 1)
    rows = wake_word.features(sound)
    results = {word.name: judge(word, rows) for word in wake_word.wake_words()}
    keys = ("macs", "host_differing", "m4_differing", "instructions", "flash_bytes", "ram_bytes", "arena_bytes",
            "arena_high_water", "stack_bytes")  # fmt: skip
    text = (
        f"# Streaming wake-word models\n\nMade by `make bench`. {INFERENCES} consecutive inferences on features of\n"
        "speech and noise; bytes that differ from the oracle; M4 figures as in models.md.\n\n"
        + table(["", *results], [[k.replace("_", " "), *(r[k] for r in results.values())] for k in keys])
    )
    publish("wake", text, results)


def judge(word: wake_word.WakeWord, rows: wake_word.Array) -> dict[str, Any]:
    graph = pipeline.load(word.path)
    x = graph.tensors[graph.inputs[0]]
    frames = wake_word.frames(rows, x.scale, x.zero_point)[:INFERENCES]
    if len(frames) < INFERENCES:
        raise SystemExit(f"only {len(frames)} inferences' worth of features")
    expected = oracle.run(word.path.read_bytes(), [frames])
    with firmware(graph, "host") as fw:
        host = differing(runners.run(fw, [frames]).outputs, expected)
    with firmware(graph, "qemu-mps2-an386") as fw:
        found = profile.profile(fw, [frames], expected)
    return {
        "macs": graph.macs(),
        "host_differing": host,
        "m4_differing": differing(found.result.outputs, expected),
        "instructions": found.latency.instructions,
        "loudest_output": int(expected[0].max()),
        **found.to_dict()["memory"],
    }


if __name__ == "__main__":
    main()
