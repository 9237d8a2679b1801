"""What to say where a package is missing that an example needs. It imports nothing that could be missing itself."""

from __future__ import annotations

DISTRIBUTIONS = {"torch": "torch", "sklearn": "scikit-learn"}
"""By the name that is imported."""


def said(error: ImportError) -> str:
    """The package that could not be imported, and the line that installs it."""
    module = (error.name or "").partition(".")[0]
    if module not in DISTRIBUTIONS:
        return f"error: {error}. Run `make setup`, and the example with .venv/bin/python."
    from intaglio.extras import INSTALL

    distribution = DISTRIBUTIONS[module]
    return f"error: this example needs the Python package {distribution}: {INSTALL[distribution]}"
