"""What is installed: this package's version, and the packages that only some of the work needs."""

from __future__ import annotations

from importlib import metadata

from .errors import ToolError

TORCH = "torch==2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own builds for CPUs, of some 200 MB. Those on PyPI bring 2.7 GB for graphics cards on x86-64."""
INSTALL = {
    "torch": f"pip install {TORCH} --index-url {CPU_INDEX}",
    "onnx": "pip install 'onnx>=1.16,<2'",
    "tflite-micro": "pip install tflite-micro",
    "ai-edge-litert": "pip install 'ai-edge-litert>=2.0'",
    "scikit-learn": "pip install 'scikit-learn>=1.4'",
}
"""By the name of the distribution. Doctor and errors give the same line."""


def version() -> str:
    """The version of the installed package."""
    try:
        return metadata.version("intaglio")
    except metadata.PackageNotFoundError:
        return "(not installed)"


def missing(distribution: str) -> ToolError:
    """The error for a package that cannot be imported."""
    return ToolError(f"the Python package {distribution}", "is not installed", "", INSTALL[distribution])
