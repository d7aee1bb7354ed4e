"""A line of `slipway jobs`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A run, or a job that has none."""

    job: str
    run: str
    state: str
    started: str
    """RFC 3339; empty if it has not."""
    seconds: int | None
    """How long it took; None while it runs."""
