"""Attributions in the lab: a day of real predictions, the job, what the monitor keeps.

About 30 s. The job is the CronJob's own, started by hand; the day before is shipped as
the log shipper would, for a day must be over before it is attributed.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from examples.demo_drift import census, records
from examples.demo_drift.census import Card
from examples.demo_drift.served import ServedModel
from examples.demo_drift.timeline import Batch
from slipway import images
from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until

ROWS = 300
MONITOR = "model-monitor"
POD = f"{MONITOR}-0"
CRON = "model-attributions"
JOB = "attributions-test"
SECRET = {
    "apiVersion": "v1",
    "kind": "Secret",
    "metadata": {"name": "model-attributions", "namespace": "models"},
    "stringData": {"token": "a-token-of-the-tests-alone-9876543210"},
}
SHIP = """
import base64, pathlib, sys
folder = pathlib.Path("/var/lib/model-monitor/landing")
part = folder / "{name}.part"
part.write_bytes(base64.b64decode(sys.stdin.read()))
part.rename(folder / "{name}")
"""
STORED = (
    "/var/lib/model-monitor/attributions/model=employment/"
    "revision={revision}/date={day}.json"
)
SECONDS = 120


def python(cluster: Cluster, script: str, text: str = "") -> str:
    """Run a script in the monitor's container; return what it prints."""
    command = ("exec", "-i", "-n", "models", POD, "--", "python3", "-c", script)
    return cluster.kube.run(*command, text=text).stdout


def shipped(cluster: Cluster, card: Card) -> str:
    """Ship the log of real rows that the served model answers; return their day."""
    now = dt.datetime.now(dt.UTC)
    yesterday, run = now - dt.timedelta(days=1), f"attributions-{now:%H%M%S}"
    batch = Batch(f"{run}-today", yesterday, census.year(2018, ROWS))
    with ServedModel(f"{cluster.urls['gateway']}/employment/v1") as served:
        (answer,) = served.ask([batch])
    assert answer.revision == card.revision
    # The server's own record of today has the other id, and both are counted.
    logged = replace(answer, batch=replace(batch, request_id=run))
    content = records.compressed(records.predictions([logged], card))
    script = SHIP.format(name=f"predictions-{run}.jsonl.gz")
    python(cluster, script, base64.b64encode(content).decode())
    return f"{yesterday:%Y-%m-%d}"


def is_counted(cluster: Cluster, day: str) -> bool:
    """Whether the monitor has counted the rows of a day."""
    command = ("exec", "-n", "models", POD, "--", "python3", "-m", "model_monitor")
    said = cluster.kube.run(*command, "figures", "employment", "--json", check=False)
    revisions = json.loads(said.stdout)["revisions"] if said.returncode == 0 else []
    days = [it for revision in revisions for it in revision["history"]]
    return any(it["date"] == day and it["answered"] >= ROWS for it in days)


@pytest.fixture
def token(cluster: Cluster) -> Iterator[None]:
    """What the job shows the monitor; the job of the test is gone afterwards."""
    kube = cluster.kube
    kube.apply(SECRET)
    # The kubelet shows a new Secret to a running pod after a minute or so.
    kube.run("delete", "pod", POD, "-n", "models", "--wait=true")
    wait_until(lambda: is_ready(cluster), SECONDS, "the new monitor is ready")
    yield
    kube.run("delete", "job", JOB, "-n", "models", "--ignore-not-found")
    kube.delete(SECRET)


def is_ready(cluster: Cluster) -> bool:
    pods = cluster.kube.ready_pods(f"app.kubernetes.io/name={MONITOR}")
    return [pod["metadata"]["name"] for pod in pods] == [POD]


def state_of_job(cluster: Cluster) -> str:
    """The condition in which the job ended; empty before."""
    status = cluster.kube.get("job", JOB)["status"]
    ended = [
        it["type"] for it in status.get("conditions", []) if it["status"] == "True"
    ]
    return next((it for it in ended if it in ("Complete", "Failed")), "")


@pytest.mark.usefixtures("token")
def test_the_job_attributes_the_day_before(cluster: Cluster) -> None:
    card = Card.read(images.model_folder("employment"))
    day = shipped(cluster, card)
    path = STORED.format(revision=quote(card.revision, safe=""), day=day)
    # A run of this test on the same lab has left it: the day would not be due again.
    python(cluster, f"import pathlib; pathlib.Path({path!r}).unlink(missing_ok=True)")
    wait_until(lambda: is_counted(cluster, day), SECONDS, f"{day} is counted", pause=1)
    cron = f"cronjob/{CRON}"
    cluster.kube.run("create", "job", JOB, "-n", "models", f"--from={cron}")
    state = wait_until(lambda: state_of_job(cluster), SECONDS, "the job has ended")
    said = cluster.kube.run("logs", f"job/{JOB}", "-n", "models").stdout
    assert state == "Complete", said
    assert f"attributed {day}" in said
    found = json.loads(python(cluster, f"print(open({path!r}).read())"))
    assert found["rows"] >= ROWS
    assert sorted(found["filled"]) == sorted(set(card.features) - set(card.keep))
    by_name: dict[str, dict[str, Any]] = {it["feature"]: it for it in found["features"]}
    assert set(by_name) == set(card.keep)
    assert all(it["low"] <= it["value"] <= it["high"] for it in by_name.values())
    # Employment depends on age more than on anything else.
    assert max(by_name, key=lambda it: by_name[it]["value"]) == "AGEP"
