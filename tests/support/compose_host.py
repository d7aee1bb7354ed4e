"""A lab host with Docker, and models.lab run on it by Compose."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from lab import ports
from lab.host import Host
from lab.settings import LabSettings
from slipway.compose.composition import FILE

SETTINGS = LabSettings(
    workers=0, port_offset=4000, kubernetes=False, packages=("docker.io",)
)
FOLDER = "/srv/models-lab"
ADDRESS = "198.18.0.11"
ENVIRONMENT = {
    # Where the lab's forwards lead; by default all is on the host's loopback.
    "SLIPWAY_ADDRESS": ADDRESS,
    "SLIPWAY_PORT": "30080",
    "SLIPWAY_PROMETHEUS_PORT": "30090",
    "SLIPWAY_ALERTMANAGER_PORT": "30093",
    "SLIPWAY_ALERTS_PORT": "30095",
}


def url(service: str, path: str = "") -> str:
    return f"http://{ports.LOOPBACK}:{SETTINGS.ports()[service]}{path}"


def eventually(holds: Callable[[], bool], seconds: float) -> float:
    """Waits; returns how long it took."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < seconds
        time.sleep(0.25)
    return time.monotonic() - start


def docker(host: Host, *words: str, seconds: float = 60, check: bool = True) -> str:
    done = host.run(["docker", *words], timeout_seconds=seconds, check=check)
    return done.stdout


def project(host: Host, *words: str, seconds: float = 60) -> str:
    """`docker compose` on the project, with its ports where the lab leads to."""
    variables = [f"{name}={value}" for name, value in ENVIRONMENT.items()]
    command = ["docker", "compose", "--file", f"{FOLDER}/{FILE}", "--progress=quiet"]
    run = ["env", *variables, *command, *words]
    return host.run(run, timeout_seconds=seconds).stdout


def containers(host: Host) -> dict[str, dict[str, Any]]:
    """All containers of the project by name."""
    lines = project(host, "ps", "--all", "--format", "json").splitlines()
    found = [json.loads(line) for line in lines]
    return {one["Name"]: one for one in found}


def started(host: Host) -> dict[str, str]:
    """When each container started, by name."""
    form = "{{.Name}} {{.State.StartedAt}}"
    lines = docker(host, "inspect", "--format", form, *containers(host)).splitlines()
    return dict(line.lstrip("/").split() for line in lines)


def query(expression: str) -> list[dict[str, Any]]:
    address = url("prometheus", "/api/v1/query")
    answer = httpx.get(address, params={"query": expression}).raise_for_status()
    found: list[dict[str, Any]] = answer.json()["data"]["result"]
    return found


def firing() -> set[str]:
    """Alerts about the model that Alertmanager holds."""
    answer = httpx.get(url("alertmanager", "/api/v2/alerts")).raise_for_status()
    return {a["labels"]["alertname"] for a in answer.json()}
