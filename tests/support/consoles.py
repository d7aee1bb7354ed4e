"""The console and Alertmanager as processes, for tests that look at its pages."""

from __future__ import annotations

import datetime as dt
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support import watched_models
from toolchain import packages

CONFIGURATION = "route: {receiver: all}\nreceivers: [{name: all}]\n"
INSIDE = 'mount --bind "$1/usr/share" /usr/share && shift && exec "$@"'
"""Debian's program looks for its templates there alone: it is given its own folder, in
a mount namespace of its own."""


@dataclass(frozen=True)
class Running:
    """Where the monitor, Alertmanager and the console of a filled store answer."""

    folder: Path
    monitor: str
    alertmanager: str
    console: str
    probes: str
    """Where the console answers probes, and gives its metrics."""


@dataclass(frozen=True)
class Console:
    """A console's addresses."""

    pages: str
    probes: str


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """Debian's Alertmanager, fetched on the first call; gives its address."""
    unpacked = packages.unpack(["prometheus-alertmanager"], suite="trixie")
    config, port = folder / "alertmanager.yaml", free_port()
    config.write_text(CONFIGURATION)
    command = [
        *("unshare", "--user", "--map-root-user", "--mount"),
        *("sh", "-c", INSIDE, "sh", unpacked),
        unpacked / "usr" / "bin" / "prometheus-alertmanager",
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"
    with (folder / "alertmanager.stderr").open("w") as told:
        process = subprocess.Popen(command, stderr=told, stdout=told)

    def is_ready() -> bool:
        assert process.poll() is None, (folder / "alertmanager.stderr").read_text()
        return _answers(f"{url}/-/ready")

    try:
        watched_models.wait_for(is_ready)
        yield url
    finally:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def fire(url: str, *alerts: dict[str, Any]) -> None:
    """Send alerts, with `labels` and `annotations`, as Prometheus does."""
    started = dt.datetime(2026, 11, 29, 8, 0, tzinfo=dt.UTC).isoformat()
    sent = [{"startsAt": started, **it} for it in alerts]
    httpx.post(f"{url}/api/v2/alerts", json=sent, trust_env=False).raise_for_status()


def alert(
    name: str, severity: str, model: str = "", **annotations: str
) -> dict[str, Any]:
    labels = {"alertname": name, "severity": severity, "namespace": "models"}
    if model:
        labels["model"] = model
    return {"labels": labels, "annotations": annotations}


@contextmanager
def console(folder: Path, monitor: str, alertmanager_url: str) -> Iterator[Console]:
    """The console as a process."""
    variables = {
        "MODEL_CONSOLE_MONITOR_URL": monitor,
        "MODEL_CONSOLE_ALERTMANAGER_URL": alertmanager_url,
        "MODEL_CONSOLE_HOST": "127.0.0.1",
        "MODEL_CONSOLE_PORT": "0",
        "MODEL_CONSOLE_METRICS_PORT": "0",
        "MODEL_CONSOLE_TIMEOUT_SECONDS": "20",
    }
    with watched_models.program_of("model_console", [], folder, variables) as told:
        ports = [told["port"], told["metrics_port"]]
        yield Console(*(f"http://127.0.0.1:{port}" for port in ports))


@contextmanager
def running(folder: Path) -> Iterator[Running]:
    """All three over a store that was just filled, with alerts that fire."""
    config = watched_models.fill(folder)
    with ExitStack() as stack:
        ports = stack.enter_context(watched_models.monitor(folder, config))
        monitor = f"http://127.0.0.1:{ports['port']}"
        router = stack.enter_context(alertmanager(folder))
        fire(
            router,
            alert(
                "ModelQualityLow",
                "critical",
                "loans",
                summary="loans predicts worse than its baseline",
                description="accuracy of revision r2 lies beyond the margin.",
                runbook_url="https://runbooks.example/ModelQualityLow.md",
            ),
            alert(
                "ModelDataDrift",
                "warning",
                "loans",
                summary="Inputs of loans differ from its training data",
                runbook_url="docs/runbooks/ModelDataDrift.md",
            ),
            alert("NodeDiskFull", "warning", summary="A disk is full"),
        )
        watched_models.wait_for(lambda: _has_passed(monitor))
        made = stack.enter_context(console(folder, monitor, router))
        yield Running(folder, monitor, router, made.pages, made.probes)


def _has_passed(monitor: str) -> bool:
    found = httpx.get(f"{monitor}/api/v1/models", trust_env=False).json()
    return bool(found["cycle"]["ended"])
