"""Labels that come late decide: gateway, log, monitor, controller.

A less accurate revision is taken back, and one that is as accurate goes through all
steps, from copies to all requests. All revisions are the same model, and labels call
half of what the less accurate one decides wrong. An experiment runs beside them, from
its settings to its report. The rollout through all steps takes some 150 s from its
first caller on, most of them beside the other tests.
"""

from __future__ import annotations

import datetime as dt
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from rollout.objects import ENTRY_LABEL, Names
from rollout.protocol import give
from rollout.record import recompute
from rollout.status import OrderKind, Phase

from examples.demo_rollout.callers import Callers
from examples.demo_rollout.lab_stack import SMALL
from slipway import images, stack_files
from slipway.cluster.kube_api import KubeApi
from slipway.engine import stack_api
from slipway.engine.engine import Engine
from slipway.experiments import live as experiments
from slipway.rollouts.live import Live
from tests.cluster import test_model_monitor as labelling
from tests.cluster.conftest import Cluster
from tests.cluster.test_rollout import SCRAPE_SECONDS
from tests.support import late_labels, oip
from tests.support.kube import wait_until
from toolchain import paths

STACK, SERVER, MODEL, PREFIX = "models.lab", "graded", "employment", "/graded/v1"
PROMOTED, COMPARED = "promoted", "compared"
"""The other servers; the monitor counts by model and revision, so each has its own."""
ROWS = 25
"""Of each request."""
SECONDS = 300
USERS = 120
REVISIONS = ("first", "second")
ROLLOUT = {
    "from": "first",
    "to": "second",
    "steps": [{"weight": 50}],
    "interval_seconds": 10,
    "min_intervals": 3,
    "deadline_hours": 2,
    "gates": {
        "errors": {"tolerate_points": 5},
        "quality": {"metric": "accuracy", "tolerate_points": 3},
    },
    "cohorts": late_labels.COHORTS,
}
USER, KEY = "x-user-id", "/etc/prediction-log/key"
HASH_SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "log-hash", "namespace": "models"},
    "stringData": {"key": "a-key-of-the-tests-alone-0123456789"},
}
EXPERIMENT = {
    "control": "control",
    "shares": {"control": 50, "treated": 50},
    "assign_by": {"header": USER},
    "unit": "caller",
    "metric": {"kind": "score_mean"},
    "minimum_effect": 0.1,
    "rule": "always_valid",
    "least_units": 20,
    "days": 1,
}


def server(name: str, *revisions: str, **more: Any) -> dict[str, Any]:
    """A server's settings; the lab's monitor watches the model already."""
    logged = {"total_mib": 16, "file_mib": 2, "file_seconds": 5, "sink": "monitor"}
    return {
        **SMALL,
        "model": MODEL,
        "route": {"prefix": f"/{name}/v1"},
        "prediction_log": logged,
        "revisions": {it: {"model_image": MODEL} for it in revisions},
        **more,
    }


def checkout(folder: Path) -> Path:
    """A checkout whose stack has three models beside the lab's own."""
    content = stack_files.load(STACK)
    models = content["config"]["slipway:models"]
    models |= {
        SERVER: server(SERVER, *REVISIONS, rollout=ROLLOUT),
        PROMOTED: server(PROMOTED, "old", "new", rollout=late_labels.THROUGH),
        COMPARED: server(
            COMPARED,
            "control",
            "treated",
            experiment=EXPERIMENT,
            monitor=models[MODEL]["monitor"],
            secrets={"log-hash": {"files": {KEY: "key"}}},
            environment={"MODEL_SERVER_PREDICTION_LOG_HASH_KEY_FILE": KEY},
        ),
    }
    content["config"] |= {
        "slipway:delivery": {"tick_seconds": 2},
        "slipway:platform": {"scrape_interval_seconds": SCRAPE_SECONDS},
    }
    file = stack_files.path(STACK, folder)
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(content))
    shutil.copy(paths.ROOT / stack_files.PROJECT_FILE, folder)
    return folder


@pytest.fixture(scope="module")
def api(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KubeApi]:
    """The API server of a lab that has the three models."""
    for name in (SERVER, PROMOTED, COMPARED):
        chosen = ("-n", "models", "-l", f"{ENTRY_LABEL}={name}")
        cluster.kube.run("delete", "configmap", *chosen)
    cluster.kube.apply(labelling.SECRET, HASH_SECRET)
    root = checkout(tmp_path_factory.mktemp("graded"))
    try:
        Engine(root=root).up(STACK)
        # The kubelet shows a new Secret to a running pod after a minute or so.
        cluster.kube.run("delete", "pod", labelling.POD, "-n", "models", "--wait=true")
        wait_until(lambda: labelling.takes_labels(cluster), 120, "it takes labels")
        with stack_api.of_stack(STACK, root) as found:
            yield found
    finally:
        Engine().up(STACK)
        cluster.kube.delete(labelling.SECRET, HASH_SECRET)


def live_of(api: KubeApi, name: str) -> Live:
    return Live(api, Names("models", name))


@pytest.fixture(scope="module")
def promotion(cluster: Cluster, api: KubeApi) -> Iterator[Promotion]:
    """Begins with the first test, and is waited for by the last."""
    found = Promotion(cluster, live_of(api, PROMOTED))
    found.start()
    yield found
    found.stopped.set()
    found.join(60)


class Clients:
    """Ask for predictions, and later send how each of them turned out."""

    def __init__(
        self, cluster: Cluster, name: str = SERVER, rows: int = ROWS, late: float = 0.0
    ) -> None:
        """late: seconds between the answers of `ask` and their labels."""
        self._cluster, self._name, self._late = cluster, name, late
        self.url = f"{cluster.urls['gateway']}/{name}/v1/infer"
        self._body = oip.request(images.real_rows(MODEL, rows)[0])
        self._run = f"{dt.datetime.now(dt.UTC):%H%M%S}"
        self._asked = 0
        self._waiting: list[tuple[float, list[dict[str, Any]]]] = []
        """Labels, with the time at which they are known."""
        self.revisions: set[str] = set()

    def ask(self, requests: int) -> None:
        """Send requests, and the labels that are known by now."""
        labels = []
        with httpx.Client(timeout=20) as client:
            for _ in range(requests):
                self._asked += 1
                identity = f"{self._name}-{self._run}-{self._asked}"
                answer = client.post(
                    self.url, content=self._body, headers={"x-request-id": identity}
                )
                assert answer.status_code == 200, answer.text
                revision = answer.headers["x-model-revision"]
                self.revisions.add(revision)
                labels += self._labels(identity, revision, answer)
        self._waiting.append((time.monotonic() + self._late, labels))
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            _, known = self._waiting.pop(0)
            answer = labelling.post(self._cluster, known)
            assert answer.status_code == 200, answer.text
            assert answer.json()["refused"] == 0

    def _labels(
        self, identity: str, revision: str, answer: httpx.Response
    ) -> list[dict[str, Any]]:
        """Half of the less accurate revision's decisions are wrong, of others none."""
        wrong = revision == REVISIONS[1]
        decisions = np.asarray(oip.output(answer.json(), "label")).ravel()
        return [
            {
                "id": identity,
                "row": row,
                "label": str(int(decision) ^ (wrong and row % 2)),
                "label_time": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
                "source": "test",
            }
            for row, decision in enumerate(decisions)
        ]


class Promotion(threading.Thread):
    """Calls a server, as much as each step of its rollout needs, until it has ended."""

    def __init__(self, cluster: Cluster, live: Live) -> None:
        super().__init__(daemon=True)
        self._live = live
        rows, late = late_labels.ROWS, late_labels.LATE_SECONDS
        self._clients = Clients(cluster, PROMOTED, rows, late)
        self._row = oip.request(images.real_rows(MODEL, 1)[0])
        self.stopped = threading.Event()
        self.error: BaseException | None = None
        self.failures: Counter[str] = Counter()

    def run(self) -> None:
        try:
            while not self.stopped.is_set() and self._goes_on():
                self.stopped.wait(0.2)
        except BaseException as error:  # noqa: BLE001, the test tells it
            self.error = error

    def _goes_on(self) -> bool:
        state = self._live.state()
        if state.status and state.status.phase is not Phase.RUNNING:
            return False
        if state.route.weights.get("new"):
            # A step needs 1,000 requests of the new revision: 20,000 at 5 %.
            with Callers(self._clients.url, self._row, most=1500) as callers:
                callers.wait()
            self.failures += callers.failures
        elif state.route.mirrors:
            self._clients.ask(50)
        return True


@pytest.mark.usefixtures("promotion")
def test_labels_take_a_less_accurate_revision_back(
    cluster: Cluster, api: KubeApi
) -> None:
    live = live_of(api, SERVER)
    url = f"{cluster.urls['gateway']}{PREFIX}/infer"
    wait_until(
        lambda: live.state().route.weights.get("second") == 50, 90, "the first step"
    )
    wait_until(
        lambda: httpx.get(url.removesuffix("/infer") + "/v2/health/ready").is_success,
        30,
        "the route",
    )
    clients = Clients(cluster)
    deadline = time.monotonic() + SECONDS
    while (state := live.state()).status is None or (
        state.status.phase is not Phase.BACK
    ):
        assert time.monotonic() < deadline, state
        clients.ask(20)
    assert state.route.weights == {"first": 100, "second": 0}
    assert clients.revisions == set(REVISIONS)
    entry = live.entries()[-1]
    assert entry["verdict"] == "rollback"
    calls = {it["gate"]: it for it in entry["judgements"]}
    assert calls["quality"]["call"] == "rollback"
    assert calls["errors"]["bad"] == [0, 0]
    assert calls["quality"]["bad"][1] == 0


def answering(cluster: Cluster, headers: list[dict[str, str]]) -> list[str]:
    """The revision of the experiment that answers each request, one row each."""
    rows, _ = images.real_rows(MODEL, len(headers))
    url = f"{cluster.urls['gateway']}/{COMPARED}/v1/infer"
    found = []
    with httpx.Client(timeout=20) as client:
        for number, one in enumerate(headers):
            body = oip.request(rows[number : number + 1])
            answer = client.post(url, content=body, headers=one)
            assert answer.status_code == 200, answer.text
            found.append(answer.headers["x-model-revision"])
    return found


@pytest.mark.usefixtures("promotion")
def test_an_experiment_reports_what_its_callers_met(
    cluster: Cluster, api: KubeApi
) -> None:
    live = live_of(api, COMPARED)

    def counts() -> bool:
        """Whether requests count from now on: all proxies have the shares by then."""
        found = experiments.read(live)
        return bool(found.runs and not found.experiment.uncounted(found.now))

    wait_until(counts, 150, "the shares stand")
    names = [{USER: f"user-{number}"} for number in range(USERS)]
    first = answering(cluster, names)
    assert answering(cluster, names) == first
    met = {name: first.count(name) for name in ("control", "treated")}
    # Half of 120 within four standard deviations.
    assert 38 < met["control"] < 82

    def reported() -> dict[str, Any] | None:
        found: dict[str, Any] = experiments.report(live, experiments.read(live))
        is_whole = found["predictions"] == 2 * USERS and found["metrics"][0]["looks"]
        return found if is_whole else None

    report = wait_until(reported, 90, "all predictions in the report", pause=2.0)
    assert report["units"] == met
    assert (report["units_in_both"], report["predictions_without_unit"]) == (0, 0)
    assert not report["sample_ratio"]["alarm"]
    look = report["metrics"][0]["looks"][-1]
    assert look["low"] < look["difference"] < look["high"]
    assert report["verdict"] != "doubtful"
    live.run(give(OrderKind.PROMOTE, who="test", why="concluded", weight=100))
    wait_until(
        lambda: live.state().route.weights == {"control": 0, "treated": 100},
        30,
        "all requests for one revision",
    )
    assert experiments.read(live).window.ended  # type: ignore[union-attr]


def test_a_revision_goes_through_all_steps_with_late_labels(
    promotion: Promotion, api: KubeApi
) -> None:
    """Copies, whose labels come late, then 5, 25, 50 and 100 % of the requests."""
    promotion.join(SECONDS)
    live = live_of(api, PROMOTED)
    assert promotion.error is None
    assert not promotion.is_alive(), live.state()
    entries = live.entries()
    assert [late_labels.place(it) for it in entries] == late_labels.PLACES
    assert all(recompute(it)[1] == [] for it in entries)
    calls = {it["gate"]: it for it in entries[1]["judgements"]}
    assert [*calls] == ["errors", "pairs decisions", "pairs accuracy"]
    assert calls["pairs decisions"]["bad"] == [0, 0]
    assert calls["pairs accuracy"]["requests"][0] >= 1000
    counted = entries[1]["facts"]["counts"]["pairs accuracy"]
    assert float(counted["coverage"]) >= 0.8
    assert promotion.failures == {}
