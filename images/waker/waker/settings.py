"""The waker's settings about itself and the models: a JSON file and its own pod."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

METRICS_PORT = 9478
"""Port of the waker's own probes and metrics."""


@dataclass(frozen=True)
class Model:
    """A model that may sleep."""

    name: str
    """Name of its Deployment and its Service."""
    port: int
    """The waker's port for its requests: paths and hosts are the callers' own."""
    port_name: str
    """Name of the Service's port that callers use."""
    pod_port: int
    """Port of its pods that this one stands for."""
    metrics_port: int
    metrics_path: str
    replicas: int
    """Replicas that it wakes with."""
    after_seconds: float
    """Calm after which it sleeps."""
    wake_seconds: float
    """Longest that a request is held."""
    buffer_requests: int
    buffer_bytes: int


@dataclass(frozen=True)
class Pod:
    """The waker's own pod."""

    namespace: str
    name: str
    uid: str
    address: str
    node: str

    @staticmethod
    def of(environment: Mapping[str, str]) -> Pod:
        """Read the settings from the downward API."""
        names = ("NAMESPACE", "NAME", "UID", "ADDRESS", "NODE")
        return Pod(*(environment[f"POD_{name}"] for name in names))


def models(path: Path) -> list[Model]:
    """The models of the file; KeyError, TypeError or ValueError if it is none."""
    return [Model(**entry) for entry in json.loads(path.read_text())["models"]]
