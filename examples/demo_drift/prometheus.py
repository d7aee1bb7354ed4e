"""Prometheus as a process of this machine: scrapes the monitor, evaluates its rules."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from components import naming
from examples.demo_drift import watched
from examples.demo_drift.census import Card
from examples.demo_drift.processes import START_SECONDS, running, wait_for
from toolchain import packages

PACKAGE, SUITE = "prometheus", "trixie"
"""The one that the lab's image is made from."""
SCRAPE_SECONDS = 2
TIMEOUT_SECONDS = 30.0
UNSHOWN = frozenset(
    {
        *("__name__", "alertname", "alertstate", "severity", "model", "revision"),
        *("namespace", "app", "job", "instance"),
    }
)
"""Labels that are the same of all alerts of the demo, or name none of its findings."""


@dataclass(frozen=True, order=True)
class Fired:
    """An alert that fired, by its name and what it is about."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, labels: Mapping[str, str]) -> Fired:
        shown = {k: v for k, v in labels.items() if k not in UNSHOWN}
        return cls(labels["alertname"], tuple(sorted(shown.items())))

    def __str__(self) -> str:
        about = ", ".join(f"{name}={value}" for name, value in self.labels)
        return f"{self.name} ({about})" if about else self.name


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    client: httpx.Client
    process: subprocess.Popen[bytes]
    log: Path

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = self.client.get("/api/v1/query", params={"query": expression})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
        return found

    def firing(self) -> set[Fired]:
        """Return the alerts that fire now."""
        return self._alerts('ALERTS{alertstate="firing"}')

    def fired(self, seconds: float) -> set[Fired]:
        """Return the alerts that fired at any time of the last seconds."""
        window = max(1, round(seconds))
        return self._alerts(f'last_over_time(ALERTS{{alertstate="firing"}}[{window}s])')

    def _alerts(self, expression: str) -> set[Fired]:
        return {Fired.of(it["metric"]) for it in self.query(expression)}

    def rules(self) -> list[str]:
        """Return the names of the alerts that it evaluates. All must be in health."""
        answer = self.client.get("/api/v1/rules", params={"type": "alert"})
        groups = answer.raise_for_status().json()["data"]["groups"]
        return [rule["name"] for group in groups for rule in group["rules"]]


@contextmanager
def serving(folder: Path, card: Card, monitor_port: int) -> Iterator[Prometheus]:
    """Run Prometheus while the block runs; all that it keeps is in `folder`."""
    program = packages.unpack([PACKAGE], suite=SUITE) / "usr" / "bin" / "prometheus"
    rules, config = folder / "rules.yaml", folder / "prometheus.yaml"
    rules.write_text(watched.rules(card))
    config.write_text(yaml.safe_dump(_configuration(monitor_port, rules)))
    log, port = folder / "prometheus.log", _free_port()
    words = [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        running(words, log, {"GOMAXPROCS": "1"}) as process,
        httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        ) as client,
    ):
        found = Prometheus(client, process, log)
        wait_for(
            lambda: _is_ready(client),
            "Prometheus starts",
            START_SECONDS,
            {"Prometheus": (process, log)},
        )
        yield found


def _configuration(monitor_port: int, rules: Path) -> dict[str, Any]:
    """Return what scrapes the monitor with the labels that it has in a cluster."""
    labels = {"app": naming.MODEL_MONITOR, "namespace": watched.NAMESPACE}
    target = {"targets": [f"127.0.0.1:{monitor_port}"], "labels": labels}
    interval = f"{SCRAPE_SECONDS}s"
    return {
        "global": {
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "evaluation_interval": interval,
        },
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": naming.MODEL_MONITOR, "static_configs": [target]}
        ],
    }


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
