"""A Flask application with our adapter."""

from __future__ import annotations

from typing import Literal

from components.serving.runtimes.application import Application


class Flask(Application):
    """A Flask application that mounts the contract (model_server.adapters)."""

    kind: Literal["flask"]
    """Your Flask application with Slipway's adapter."""
