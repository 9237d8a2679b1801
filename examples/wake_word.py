"""Speech for a streaming wake-word model: spoken by espeak-ng, turned into features as the microphone's would be.

The models are those of the pymicro-wakeword package (Apache-2.0), which run on thousands of small devices. They take
three feature vectors of 40 numbers (30 ms of sound) at a time, int8, and give the probability of the word as uint8.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
SAMPLE_RATE = 16_000
ESPEAK_RATE = 22_050
CHUNK = 160
"""Samples that the feature front end takes at a time: 10 ms."""


@dataclass(frozen=True)
class WakeWord:
    """A model of the package and what its maker says of it."""

    name: str
    path: Path
    cutoff: float
    """Mean probability above which the word counts as heard."""
    window: int
    """Inferences over which the mean is taken."""


def wake_words() -> list[WakeWord]:
    """The models inside the installed package. Raises ImportError when it is not installed."""
    import pymicro_wakeword

    folder = Path(pymicro_wakeword.__file__).parent / "models"
    found: list[WakeWord] = []
    for path in sorted(folder.glob("*.tflite")):
        micro = json.loads(path.with_suffix(".json").read_text())["micro"]
        found.append(WakeWord(path.stem, path, micro["probability_cutoff"], micro["sliding_window_size"]))
    return found


def espeak() -> bool:
    """Whether espeak-ng is installed."""
    return shutil.which("espeak-ng") is not None


def say(text: str, speed: int = 150) -> Array:
    """What espeak-ng says, int16 at 16 kHz."""
    from scipy.signal import resample_poly

    raw = subprocess.run(
        ["espeak-ng", "-v", "en-us", "-s", str(speed), "--stdout", text], capture_output=True, check=True
    ).stdout
    # The header's length fields are not filled in when espeak-ng writes to a pipe: the samples follow `data` + 4 bytes.
    samples = np.frombuffer(raw[raw.index(b"data") + 8 :][: (len(raw) - raw.index(b"data") - 8) // 2 * 2], "<i2")
    speech = resample_poly(samples.astype(np.float64), SAMPLE_RATE // 50, ESPEAK_RATE // 50)
    return np.clip(speech, -32768, 32767).astype(np.int16)


def scene(words: list[str], seconds: float, seed: int = 1) -> tuple[Array, list[tuple[float, str]]]:
    """Sound with the words spread evenly over it, in noise: (int16 samples, [(second it starts at, word)])."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 30, int(seconds * SAMPLE_RATE))
    starts = np.linspace(2.0, seconds - 3.0, len(words)) if words else []
    # The last second but one is loud noise: a detector must not take it for a word.
    sound[-2 * SAMPLE_RATE : -SAMPLE_RATE] += rng.normal(0, 3000, SAMPLE_RATE)
    for start, word in zip(starts, words, strict=True):
        speech = say(word)
        at = int(start * SAMPLE_RATE)
        sound[at : at + len(speech)] += speech[: len(sound) - at]
    return np.clip(sound, -32768, 32767).astype(np.int16), list(zip(map(float, starts), words, strict=True))


def features(sound: Array) -> Array:
    """float32 [n][40], one row for each 10 ms, by the micro front end that the models were trained with."""
    from pymicro_features import MicroFrontend

    frontend, data, rows, at = MicroFrontend(), sound.astype("<i2").tobytes(), [], 0
    while at + 2 * CHUNK <= len(data):
        result = frontend.process_samples(data[at : at + 2 * CHUNK])
        at += 2 * result.samples_read
        if result.features:
            rows.append(result.features)
    return np.array(rows, np.float32)


def frames(rows: Array, scale: float, zero_point: int) -> Array:
    """Model inputs int8 [n][1][3][40]: three rows each, quantized."""
    n = len(rows) // 3
    q = np.round(rows[: 3 * n] / np.float32(scale) + zero_point)
    return np.clip(q, -128, 127).astype(np.int8).reshape(n, 1, 3, rows.shape[1])


def detections(probabilities: Array, word: WakeWord) -> list[float]:
    """Seconds at which the mean probability (uint8 / 256) over the window rises above the cutoff."""
    mean = np.convolve(probabilities.ravel() / 256.0, np.ones(word.window) / word.window, "valid")
    heard = mean > word.cutoff
    rising = np.flatnonzero(heard & ~np.concatenate([[False], heard[:-1]]))
    return [float(i + word.window) * 0.03 for i in rising]
