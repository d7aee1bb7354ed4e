"""Check the size of replicas by their resource use over days.

Prometheus stores what kubelets report for each container. A request should equal what
is nearly always used (95th percentile). A memory limit should exceed the maximum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from components.serving.args.model_server_args import Resources
from components.serving.args.parts import parts
from components.serving.models_settings import ModelsSettings
from components.serving.pods.workload import CONTAINER
from slipway import stack_settings
from slipway.bench.recommend import (
    CPU_STEP_MILLICORES,
    MEMORY_LIMIT,
    MEMORY_REQUEST,
    memory_mib,
)

TIMEOUT_SECONDS = 60.0
WINDOW, RESOLUTION = "5m", "1m"
SHARE = 0.95
TOO_MUCH = 2.0
"""Factor from which a request counts as too large."""
LEAST_HOURS = 1.0
FITS, RAISE, LOWER, UNKNOWN = "fits", "raise it", "lower it", "no data"
FITTING = (FITS, UNKNOWN)

Query = Callable[[str], float | None]
"""Evaluates an expression to its one number, or None."""


class PrometheusError(Exception):
    """Prometheus cannot be queried; the text says why."""


@dataclass(frozen=True)
class Finding:
    """One setting of one model or revision, and a better value."""

    model: str
    setting: str
    current: int
    used: float | None
    better: int | None
    verdict: str

    def as_data(self) -> dict[str, Any]:
        return asdict(self)


def of_stack(stack: str, prometheus: str, hours: int) -> list[Finding]:
    """Return all models of the stack, each revision separately."""
    settings = stack_settings.load(stack, ModelsSettings)
    namespace = settings.platform.namespace
    with httpx.Client(base_url=prometheus, timeout=TIMEOUT_SECONDS) as client:
        query = _asking(client, prometheus)
        return [
            finding
            for name, args in settings.models.items()
            for part in parts(name, args)
            for finding in compare(
                part.name, namespace, part.args.resources, query, hours
            )
        ]


def compare(
    name: str, namespace: str, resources: Resources, query: Query, hours: int
) -> list[Finding]:
    """Compare three settings with the use; the owner decides on the CPU limit."""
    pods = f'namespace="{namespace}",pod=~"{name}-[a-z0-9]+-[a-z0-9]{{5}}"'
    chosen = f'{pods},container="{CONTAINER}"'
    span = f"[{hours}h:{RESOLUTION}]"
    rate = f"rate(container_cpu_usage_seconds_total{{{chosen}}}[{WINDOW}])"
    memory = f"container_memory_working_set_bytes{{{chosen}}}"
    cpu = query(f"1000 * max(quantile_over_time({SHARE}, {rate}{span}))")
    usual = query(f"max(quantile_over_time({SHARE}, {memory}{span})) / 2^20")
    most = query(f"max(max_over_time({memory}{span})) / 2^20")
    return [
        _finding(
            name,
            "cpu_request_millicores",
            resources.cpu_request_millicores,
            cpu,
            lambda used: max(
                CPU_STEP_MILLICORES,
                math.ceil(used / CPU_STEP_MILLICORES) * CPU_STEP_MILLICORES,
            ),
        ),
        _finding(
            name,
            "memory_request_mib",
            resources.memory_request_mib,
            usual,
            lambda used: memory_mib(MEMORY_REQUEST * used),
        ),
        _finding(
            name,
            "memory_limit_mib",
            resources.memory_limit_mib,
            most,
            lambda used: memory_mib(MEMORY_LIMIT * used),
        ),
    ]


def _finding(
    model: str,
    setting: str,
    current: int,
    used: float | None,
    better: Callable[[float], int],
) -> Finding:
    if used is None:
        return Finding(model, setting, current, None, None, UNKNOWN)
    right = better(used)
    # The used amount must be available; `right` adds a margin.
    short = current < used if setting.endswith("millicores") else current < 1.1 * used
    verdict = RAISE if short else LOWER if current > TOO_MUCH * right else FITS
    return Finding(model, setting, current, used, right, verdict)


def _asking(client: httpx.Client, address: str) -> Query:
    def query(expression: str) -> float | None:
        try:
            answer = client.get("/api/v1/query", params={"query": expression})
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise PrometheusError(f"{address} does not answer ({error})") from error
        if said.get("status") != "success":
            raise PrometheusError(f"{address}: {said.get('error', answer.status_code)}")
        result = said["data"]["result"]
        value = float(result[0]["value"][1]) if result else math.nan
        return None if math.isnan(value) else value

    return query
