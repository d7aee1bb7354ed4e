"""A Django application with our adapter."""

from __future__ import annotations

from typing import Literal

from components.serving.runtimes.application import Application


class Django(Application):
    """A Django application that mounts the contract (model_server.adapters)."""

    kind: Literal["django"]
    """Your Django application with Slipway's adapter."""
