"""A server in a comparison, and what it showed under load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.load import JSON, Load, generate
from benchmarks.servers import Running


@dataclass(frozen=True)
class Round:
    """One server under load for some seconds."""

    load: Load
    cpu_seconds: float

    @property
    def cpu_per_request(self) -> float:
        """Seconds of CPU time of the server's process tree."""
        return self.cpu_seconds / self.load.requests


@dataclass
class Contender:
    """A server that is asked in one form, and what it showed."""

    name: str
    running: Running
    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    many: list[Round] = field(default_factory=list)
    single: list[Round] = field(default_factory=list)
    memory_bytes: int = 0

    def round(self, connections: int, seconds: int) -> Round:
        before = self.running.cpu_seconds()
        load = generate(self.url, self.body, connections, seconds, self.headers)
        if load.errors or not load.requests:
            raise RuntimeError(f"{self.name}: {load.errors} of {load.requests} failed")
        return Round(load, self.running.cpu_seconds() - before)
