"""The model monitor in the lab: records of four kinds of servers, labels, figures.

About 40 s, most of it until files of the prediction log are finished and counted.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from examples.demo_drift.census import Card
from lab.lab import Lab
from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until

SERVERS = ("employment", "employment-fastapi", "employment-flask", "employment-django")
ROWS = 25
"""Of each request."""
TOKEN = "a-token-of-the-tests-alone-0123456789"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "model-monitor-labels", "namespace": "models"},
    "stringData": {"token": TOKEN},
}
POD = "model-monitor-0"
SECONDS = 90
COLUMNS = """
import duckdb
files = "/var/lib/model-monitor/{kind}/**/*.parquet"
read = f"select * from read_parquet('{{files}}', union_by_name = true)"
print(*[column[0] for column in duckdb.sql(read).description], sep="\\n")
"""


@pytest.fixture(scope="module")
def labelled(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """Predictions of every server, each with a label; what is right about them."""
    kube = cluster.kube
    kube.apply(SECRET)
    # The kubelet shows a new Secret to a running pod after a minute or so.
    kube.run("delete", "pod", POD, "-n", "models", "--wait=true")
    wait_until(lambda: takes_labels(cluster), 120, "the new pod takes labels")
    rows, _ = images.real_rows("employment", ROWS)
    run = dt.datetime.now(dt.UTC).strftime("%H%M%S")
    labels, right = [], []
    for number, server in enumerate(SERVERS):
        identity = f"monitor-test-{run}-{server}"
        response = httpx.post(
            f"{cluster.urls['gateway']}/{server}/v1/infer",
            content=oip.request(rows),
            headers={"x-request-id": identity},
            timeout=20,
        )
        assert response.status_code == 200, response.text
        decisions = np.asarray(oip.output(response.json(), "label")).ravel()
        for row, decision in enumerate(decisions):
            # Each server is right about other rows.
            truth = int(decision) if (row + number) % 4 else 1 - int(decision)
            right.append(truth == int(decision))
            labels.append(
                {
                    "id": identity,
                    "row": row,
                    "label": str(truth),
                    "label_time": f"{dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}",
                    "source": "test",
                }
            )
    # The last one first and once more, as labels do not come in order.
    sent = [*reversed(labels), labels[0]]
    answer = post(cluster, sent)
    assert answer.status_code == 200, answer.text
    assert answer.json()["refused"] == 0
    yield {"rows": len(labels), "accuracy": float(np.mean(right))}
    kube.delete(SECRET)


def takes_labels(cluster: Cluster) -> bool:
    """Whether a post reaches the pod and the pod knows the token.

    A ready pod does not say so: every node's rules for the Service follow later, and
    until then connections end without an answer.
    """
    try:
        return post(cluster, []).status_code == 200
    except httpx.TransportError:
        return False


def post(
    cluster: Cluster, labels: list[dict[str, Any]], token: str = TOKEN
) -> httpx.Response:
    return httpx.post(
        f"{cluster.urls['monitor']}/v1/labels",
        content="".join(json.dumps(one) + "\n" for one in labels),
        headers={"authorization": f"Bearer {token}"},
        timeout=20,
    )


def today(cluster: Cluster) -> dict[str, Any]:
    """What the monitor knows of the newest day; empty before it knows anything.

    Of the lab's own revision: other tests may have left others.
    """
    command = ("exec", "-n", "models", POD, "--", "python3", "-m", "model_monitor")
    said = cluster.kube.run(*command, "figures", "employment", "--json", check=False)
    if said.returncode:
        return {}
    own = Card.read(images.model_folder("employment")).revision
    revisions = {it["revision"]: it for it in json.loads(said.stdout)["revisions"]}
    return dict(revisions[own]["history"][-1]) if own in revisions else {}


def judged(cluster: Cluster, labelled: dict[str, Any]) -> dict[str, Any]:
    def found() -> dict[str, Any]:
        day = today(cluster)
        return day if day.get("labelled") == labelled["rows"] else {}

    what = f"{labelled['rows']} rows with labels"
    day: dict[str, Any] = wait_until(found, SECONDS, what, pause=1)
    return day


def test_quality_is_that_of_all_four_servers(
    cluster: Cluster, labelled: dict[str, Any]
) -> None:
    day = judged(cluster, labelled)
    assert labelled["rows"] == len(SERVERS) * ROWS
    assert day["metrics"]["accuracy"]["value"] == pytest.approx(
        labelled["accuracy"], abs=1e-9
    )
    assert day["answered"] >= labelled["rows"]


def test_a_killed_monitor_comes_back_with_the_same_figures(
    cluster: Cluster, labelled: dict[str, Any]
) -> None:
    before = judged(cluster, labelled)["metrics"]
    pod = cluster.kube.get("pod", POD)
    (host,) = [h for h in Lab().hosts() if h.name == pod["spec"]["nodeName"]]
    host.run(["pkill", "--signal", "KILL", "--full", "model_monitor serve"])

    def restarted() -> bool:
        (state,) = cluster.kube.get("pod", POD)["status"]["containerStatuses"]
        return bool(state["restartCount"] and state["ready"])

    wait_until(restarted, SECONDS, "the monitor is back", pause=0.5)
    wait_until(lambda: takes_labels(cluster), SECONDS, "the monitor takes labels")
    assert judged(cluster, labelled)["metrics"] == before


def test_protected_attributes_lie_apart(
    cluster: Cluster, labelled: dict[str, Any]
) -> None:
    judged(cluster, labelled)

    def columns(kind: str) -> set[str]:
        script = COLUMNS.format(kind=kind)
        command = ("exec", "-n", "models", POD, "--", "python3", "-c", script)
        return set(cluster.kube.run(*command).stdout.split())

    assert {"x:AGEP", "x:SCHL"} <= columns("predictions")
    assert not {"x:SEX", "x:RAC1P"} & columns("predictions")
    assert {"a:SEX", "a:RAC1P"} <= columns("protected")
    assert "x:AGEP" not in columns("protected")


@pytest.mark.usefixtures("labelled")
def test_labels_need_the_token(cluster: Cluster) -> None:
    refused = post(cluster, [], token="another")
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "unauthorized"


@pytest.mark.usefixtures("labelled")
def test_prometheus_sees_monitor_and_shippers(cluster: Cluster) -> None:
    def series(query: str) -> int:
        answer = httpx.get(
            f"{cluster.urls['prometheus']}/api/v1/query",
            params={"query": query},
            timeout=20,
        )
        answer.raise_for_status()
        return len(answer.json()["data"]["result"])

    wait_until(
        lambda: (
            series('monitor_log_newest_timestamp_seconds{model="employment"}')
            and series("count by (server) (log_shipper_files_total)") == len(SERVERS)
        ),
        SECONDS,
        "series of the monitor and of every server's shipper",
        pause=1,
    )
