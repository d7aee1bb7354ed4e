"""A less accurate revision is taken back by labels: gateway, log, monitor, controller.

Both revisions are the same model, and labels call half of what the new one decides
wrong. Some 200 s, most of it until a cohort of 60 s has passed and is counted.
"""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml
from rollout.objects import ENTRY_LABEL, Names
from rollout.status import Phase

from examples.demo_rollout.lab_stack import SMALL
from slipway import images, stack_files
from slipway.engine import stack_api
from slipway.engine.engine import Engine
from slipway.rollouts.live import Live
from tests.cluster import test_model_monitor as labelling
from tests.cluster.conftest import Cluster
from tests.cluster.test_rollout import SCRAPE_SECONDS
from tests.support import oip
from tests.support.kube import wait_until
from toolchain import paths

STACK, SERVER, MODEL, PREFIX = "models.lab", "graded", "employment", "/graded/v1"
ROWS = 25
"""Of each request."""
SECONDS = 300
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
    "cohorts": {"interval_seconds": 60, "labels_within_hours": 0.1},
}


def graded() -> dict[str, Any]:
    """The model's settings; the lab's monitor watches the model already."""
    logged = {"total_mib": 16, "file_mib": 2, "file_seconds": 5, "sink": "monitor"}
    return {
        **SMALL,
        "model": MODEL,
        "route": {"prefix": PREFIX},
        "prediction_log": logged,
        "revisions": {name: {"model_image": MODEL} for name in REVISIONS},
        "rollout": ROLLOUT,
    }


def checkout(folder: Path) -> Path:
    """A checkout whose stack has that model beside the lab's own."""
    content = stack_files.load(STACK)
    content["config"]["slipway:models"][SERVER] = graded()
    content["config"] |= {
        "slipway:delivery": {"tick_seconds": 2},
        "slipway:platform": {"scrape_interval_seconds": SCRAPE_SECONDS},
    }
    file = stack_files.path(STACK, folder)
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump(content))
    shutil.copy(paths.ROOT / stack_files.PROJECT_FILE, folder)
    return folder


@pytest.fixture
def live(cluster: Cluster, tmp_path: Path) -> Iterator[Live]:
    chosen = ("-n", "models", "-l", f"{ENTRY_LABEL}={SERVER}")
    cluster.kube.run("delete", "configmap", *chosen)
    cluster.kube.apply(labelling.SECRET)
    root = checkout(tmp_path / "graded")
    try:
        Engine(root=root).up(STACK)
        # The kubelet shows a new Secret to a running pod after a minute or so.
        cluster.kube.run("delete", "pod", labelling.POD, "-n", "models", "--wait=true")
        wait_until(lambda: labelling.takes_labels(cluster), 120, "it takes labels")
        with stack_api.of_stack(STACK, root) as api:
            yield Live(api, Names("models", SERVER))
    finally:
        Engine().up(STACK)
        cluster.kube.delete(labelling.SECRET)


class Clients:
    """Ask for predictions, and later send how each of them turned out."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._url = f"{cluster.urls['gateway']}{PREFIX}/infer"
        self._body = oip.request(images.real_rows(MODEL, ROWS)[0])
        self._run = f"{dt.datetime.now(dt.UTC):%H%M%S}"
        self._asked = 0
        self.revisions: set[str] = set()

    def ask(self, requests: int) -> None:
        labels = []
        with httpx.Client(timeout=20) as client:
            for _ in range(requests):
                self._asked += 1
                identity = f"graded-{self._run}-{self._asked}"
                answer = client.post(
                    self._url, content=self._body, headers={"x-request-id": identity}
                )
                assert answer.status_code == 200, answer.text
                revision = answer.headers["x-model-revision"]
                self.revisions.add(revision)
                labels += self._labels(identity, revision, answer)
        answer = labelling.post(self._cluster, labels)
        assert answer.status_code == 200, answer.text
        assert answer.json()["refused"] == 0

    def _labels(
        self, identity: str, revision: str, answer: httpx.Response
    ) -> list[dict[str, Any]]:
        """All decisions of the old revision are right, half of the new one's."""
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


def test_labels_take_a_less_accurate_revision_back(
    cluster: Cluster, live: Live
) -> None:
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
