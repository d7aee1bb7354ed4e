"""A model scaled by its requests in flight: quick, steady, and blind without harm.

Real: KEDA as the platform installs it, Prometheus, the autoscaler of Kubernetes. The
sine takes SLIPWAY_SINE_SECONDS; 600 is the run of docs/how-to/scaling.md.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from slipway import images
from slipway.bench.open_loop import Background, Target, constant, sine
from slipway.cluster.kube_api import KubeApi
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until
from tests.support.scaled import PATH, Scaled

LEAST, MOST = 2, 4
SETTLE_SECONDS = 45
SCALING = {
    "signal": "inflight",
    "inflight_per_replica": 2,
    # Of ROWS each, 9 ms of CPU: 70 % of what the limit of 300 millicores has room for.
    "rate_per_replica": 23,
    "min_replicas": LEAST,
    "max_replicas": MOST,
    "scale_down_seconds": SETTLE_SECONDS,
}
ROWS = 1000
"""In one request: load for the model's processors, not for this client's."""
STEP_RATE = 100.0
SINE = (5.0, 100.0, 25.0)
"""Lowest and highest requests per second, and seconds from peak to peak."""
SINE_SECONDS = float(os.environ.get("SLIPWAY_SINE_SECONDS", "60"))
ALERT = "ModelScalingSignalAbsent"
PODS = ("pods", "-n", "models", "-l", "app.kubernetes.io/instance=scaled")
PROMETHEUS = ("statefulset/prometheus", "-n", "slipway-monitoring")


def say(text: str) -> None:
    print(f"\n  {text}", end="", flush=True)


@pytest.fixture(scope="module")
def scaled(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scaled]:
    root: Path = tmp_path_factory.mktemp("scaled")
    with KubeApi.of_kubeconfig(cluster.kube.kubeconfig.read_text()) as api:
        found = Scaled(api, root / "checkout")
        try:
            found.up(SCALING)
            wait_until(lambda: found.condition("Ready") == "True", 120, "KEDA's answer")
            found.at_rest(LEAST, 300)
            yield found
        finally:
            found.down()


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Target:
    row = images.real_rows("employment", 1)[0]
    url = f"{cluster.urls['gateway']}{PATH}/infer"
    return Target(url, (oip.request(np.repeat(row, ROWS, axis=0)),))


@pytest.mark.calm
def test_new_replicas_are_requested_soon_after_a_step(
    scaled: Scaled, target: Target
) -> None:
    start = time.monotonic()
    with Background(target, constant(STEP_RATE, 90)) as load:
        scaled.watch(60, until=lambda: scaled.replicas() > LEAST)
        first = time.monotonic() - start
        scaled.watch(60, until=lambda: scaled.replicas() == MOST)
        last = time.monotonic() - start
    say(f"{STEP_RATE:g} requests/s: {LEAST} replicas to more after {first:.1f} s, ")
    say(f"{MOST} after {last:.1f} s; answers {dict(load.report.outcomes)}")
    assert scaled.replicas() > LEAST
    assert first <= 15


@pytest.mark.calm
def test_a_sine_does_not_make_replicas_come_and_go(
    scaled: Scaled, target: Target
) -> None:
    start = time.monotonic()
    with Background(target, sine(*SINE, seconds=SINE_SECONDS)) as load:
        scaled.watch(SINE_SECONDS)
    found = scaled.changes_since(start)
    low, high, period = SINE
    say(
        f"{SINE_SECONDS:g} s between {low:g} and {high:g} requests/s every {period:g} s"
    )
    say(f"replicas {found}; answers {dict(load.report.outcomes)}")
    # Down and up again is what a settled time is to prevent.
    flaps = [
        (a, b, c) for (a, b), (_, c) in pairwise(pairwise(found)) if a > b and c > b
    ]
    assert flaps == []


def test_without_prometheus_replicas_stay(cluster: Cluster, scaled: Scaled) -> None:
    kube = cluster.kube
    before = scaled.replicas()
    assert before > LEAST, "there is something to lose"
    try:
        kube.run("scale", *PROMETHEUS, "--replicas=0")
        wait_until(lambda: scaled.condition("Fallback") == "True", 90, "the fallback")
        start = time.monotonic()
        # No load, and longer than the autoscaler waits before it takes one away.
        scaled.watch(SETTLE_SECONDS + 30)
    finally:
        kube.run("scale", *PROMETHEUS, "--replicas=1")
    found = scaled.changes_since(start)
    say(f"without Prometheus and load for {SETTLE_SECONDS + 30} s: replicas {found}")
    assert min(found) >= before
    kube.run("rollout", "status", *PROMETHEUS, "--timeout=180s")
    wait_until(lambda: scaled.condition("Fallback") == "False", 60, "the signal again")


def received(cluster: Cluster, status: str) -> list[Any]:
    answer = httpx.get(
        cluster.urls["alerts"] + "/alerts", params={"name": ALERT}, timeout=10
    )
    return [alert for alert in answer.json() if alert["status"] == status]


def test_a_lost_signal_is_reported_and_takes_no_replica(
    cluster: Cluster, scaled: Scaled
) -> None:
    before, start = scaled.replicas(), time.monotonic()
    old = len(received(cluster, "firing"))
    annotate = ("annotate", *PODS, "--overwrite")
    try:
        cluster.kube.run(*annotate, "prometheus.io/scrape=false")
        wait_until(lambda: len(received(cluster, "firing")) > old, 90, f"{ALERT} told")
        say(f"{ALERT} at the webhook after {time.monotonic() - start:.0f} s")
        assert scaled.replicas() >= before - 1
    finally:
        cluster.kube.run(*annotate, "prometheus.io/scrape=true")
    wait_until(lambda: received(cluster, "resolved"), 90, f"{ALERT} resolved")


def test_the_loads_end_removes_replicas_one_by_one(scaled: Scaled) -> None:
    start = time.monotonic()
    scaled.at_rest(LEAST, 240)
    found = scaled.changes_since(start)
    say(f"replicas {found} within {time.monotonic() - start:.0f} s")
    assert found == sorted(found, reverse=True)


def test_a_deletion_needs_no_rights_in_the_namespace(
    cluster: Cluster, scaled: Scaled
) -> None:
    """A namespace that is deleted takes KEDA's binding with it, maybe at once."""
    keda = ("-n", "slipway-keda")
    cluster.kube.run("delete", "rolebinding", "keda-operator-models", "-n", "models")
    cluster.kube.run("delete", "pod", *keda, "-l", "app=keda-operator")
    cluster.kube.run(
        "rollout", "status", "deployment/keda-operator", *keda, "--timeout=120s"
    )
    wanted = ("scaledobjects.keda.sh", "scaled", "-n", "models")
    assert cluster.kube.get("scaledobjects.keda.sh", "scaled")["metadata"]["finalizers"]
    cluster.kube.run("delete", *wanted, "--timeout=60s")
