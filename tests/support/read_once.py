"""What commands read of the real checkout, read once in a process.

For tests that change none of it and start many commands in one process.
"""

from __future__ import annotations

import functools

import pytest

from components.security import rules
from slipway.rendering import placeholders

_LOAD = functools.cache(rules.load)
_IMAGES = functools.cache(placeholders.images)


def policies_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules in policies/, and the names that stand for images."""
    monkeypatch.setattr(rules, "load", _LOAD)
    monkeypatch.setattr(placeholders, "images", _IMAGES)
