"""Telling what is going on."""

from __future__ import annotations

from typing import Protocol


class Say(Protocol):
    """Told what is going on, and how far it is where that is known."""

    def __call__(self, text: str, done: float = 0, total: float | None = None) -> None: ...


def quiet(text: str, done: float = 0, total: float | None = None) -> None:
    """Says nothing."""
