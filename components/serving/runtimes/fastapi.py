"""A FastAPI application with our adapter."""

from __future__ import annotations

from typing import Literal

from components.serving.runtimes.application import Application


class FastApi(Application):
    """A FastAPI application that mounts the contract (model_server.adapters)."""

    kind: Literal["fastapi"]
    """Your FastAPI application with Slipway's adapter."""
