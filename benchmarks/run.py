"""Regenerates every table in benchmarks/results: what `make bench` runs. Names given as arguments run alone."""

from __future__ import annotations

import importlib
import sys

from common import SHARED

ALL = (
    "models", "float_models", "wake", "digits_cnn", "strict", "ptq", "lossless", "encoded_weights", "third_party",
    "keras_models", "trained", "deep_compression", "post_training_size", "techniques", "export", "scaling", "sizes",
)  # fmt: skip
LONG = ("mutants",)
"""By name alone."""
NEEDS_SHARED = (
    "models",
    "float_models",
    "ptq",
    "lossless",
    "trained",
    "deep_compression",
    "post_training_size",
    "techniques",
)

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        if name not in (*ALL, *LONG):
            raise SystemExit(f"{name}: no benchmark; there are {', '.join((*ALL, *LONG))}")
        if name in NEEDS_SHARED and not SHARED.exists():
            print(f"{name}: skipped, the MLPerf Tiny models are not beside this checkout (../shared)")
            continue
        print(f"== {name}", flush=True)
        importlib.import_module(name).main()
