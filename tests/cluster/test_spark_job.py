"""A Spark job in the lab: the monitor's counts of a log, while an executor is lost.

The log lies on a folder of w1, by a volume that the test makes: the lab has no
provisioner. So all pods run on w1. The images have 1.1 GB and are built on demand, so
the tests run if `SPARK` is set.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import lab
from slipway import images
from tests.cluster.conftest import Cluster
from tests.support import host_volume, spark_logs, stack_command
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack
from tests.support.spark_engine import WANTED

pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        WANTED not in os.environ,
        reason=f"{WANTED}=1 builds the image monitor-spark (1.1 GB) and runs it",
    ),
]
STACK, HOST, JOB, FAILING = "jobs.spark", "w1", "count-log", "count-nothing"
FOLDER = "/var/lib/slipway-test-spark"
SECONDS = 420
"""Of a run; on two calm cores it should take a minute and a half."""
DAYS, ROWS = 3, 400
SMALL_JAVA = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
OUT = f"/storage/{JOB}/out"
SPARK: dict[str, Any] = {
    "image": "monitor-spark",
    "main": "/monitor/count_log.py",
    "arguments": spark_logs.arguments(
        f"/storage/{JOB}/log", f"/storage/{JOB}/log/reference.json", OUT
    ),
    "driver": {"cpu_request_millicores": 100, "memory_mib": 1088},
    "executors": {
        "instances": 2,
        "cpu_request_millicores": 100,
        "memory_mib": 896,
        "memory_overhead_mib": 384,
    },
    "storage": {"claim": JOB, "many_nodes": True},
    "event_log": {"claim": JOB, "many_nodes": True, "path": "events"},
    "decommission_seconds": 45,
    "deadline_seconds": SECONDS,
    "properties": {
        "spark.driver.extraJavaOptions": SMALL_JAVA,
        "spark.executor.extraJavaOptions": SMALL_JAVA,
        "spark.sql.shuffle.partitions": "2",
    },
}
JOBS = {
    JOB: SPARK,
    FAILING: {
        **SPARK,
        "arguments": [*SPARK["arguments"], "--reference", "/storage/nothing.json"],
        "storage": {"claim": JOB, "many_nodes": True, "path": "nothing"},
        "event_log": {"claim": JOB, "many_nodes": True, "path": "no-events"},
    },
}


def copy(folder: Path, target: str) -> None:
    """Copies a folder of this machine to the host, for everybody to read and write."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=".")
    text = base64.b64encode(packed.getvalue()).decode()
    unpack = f"umask 0; mkdir -p {target} && base64 -d | tar -x -C {target}"
    lab.Lab().host(HOST).run(["sh", "-c", unpack], text=text)
    lab.Lab().host(HOST).run(["chmod", "-R", "a+rwX", FOLDER])


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a prediction log."""
    root = tmp_path_factory.mktemp("log")
    spark_logs.write(root, days=DAYS, rows=ROWS)
    return root


@pytest.fixture(scope="module")
def stack(
    cluster: Cluster, log: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnStack]:
    images.push(names=["spark", "monitor-spark"])
    own = OwnStack(STACK, Path(tmp_path_factory.mktemp("spark")))
    host, made = lab.Lab().host(HOST), host_volume.claimed(JOB, HOST, FOLDER)
    with ExitStack() as cleanup:
        host.run(["rm", "-rf", FOLDER])
        cleanup.callback(host.run, ["rm", "-rf", FOLDER])
        copy(log, f"{FOLDER}/{JOB}/log")
        cleanup.callback(cluster.kube.delete, *reversed(made))
        cluster.kube.apply(*made)
        cleanup.callback(own.down)
        own.up(spark=JOBS)
        yield own


def slipway(stack: OwnStack, *words: str) -> subprocess.Popen[str]:
    """The command, about this stack."""
    return stack_command.start(stack.root, *words, "--stack", STACK)


def executors(cluster: Cluster) -> list[Any]:
    """The job's executors that run."""
    labels = f"app.kubernetes.io/instance={JOB},spark-role=executor"
    return cluster.kube.ready_pods(labels)


def counts(date: str) -> str:
    """What Spark wrote of a day."""
    file = f"{FOLDER}/{JOB}/out/counts/model={spark_logs.MODEL}/date={date}.json"
    return lab.Lab().host(HOST).run(["cat", file]).stdout


def test_a_log_is_counted_as_duckdb_does_although_an_executor_is_lost(
    cluster: Cluster, stack: OwnStack, log: Path
) -> None:
    with slipway(stack, "run", JOB, "--wait") as run:
        try:
            first, *_ = wait_until(lambda: executors(cluster), 240, "an executor")
            name = first["metadata"]["name"]
            owner = first["metadata"]["ownerReferences"][0]
            assert owner["kind"] == "Pod"
            assert owner["name"].startswith(f"{JOB}-")
            assert first["spec"]["terminationGracePeriodSeconds"] == 45
            cluster.kube.run("delete", "pod", name, "-n", "models", "--wait=false")
            said, _ = run.communicate(timeout=SECONDS)
        finally:
            run.kill()
    assert run.returncode == 0, said
    assert f"{DAYS} days to count of {spark_logs.MODEL}" in said, said
    ours = spark_logs.counted(log, log / "reference.json")
    assert len(ours) == DAYS
    for date, cohort in ours.items():
        spark_logs.assert_same(counts(date.isoformat()), cohort)
    wait_until(lambda: not executors(cluster), 60, "no executor is left")
    events = lab.Lab().host(HOST).run(["ls", f"{FOLDER}/events"]).stdout
    assert "eventlog" in events


def test_a_run_with_bad_settings_is_not_repeated(
    cluster: Cluster, stack: OwnStack
) -> None:
    with slipway(stack, "run", FAILING, "--wait") as run:
        try:
            said, _ = run.communicate(timeout=SECONDS)
        finally:
            run.kill()
    assert run.returncode == 78, said
    assert "/storage/nothing.json: cannot be read as JSON" in said
    with slipway(stack, "jobs", "--json") as listed:
        lines = listed.communicate(timeout=60)[0].splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["state"] for row in rows if row["job"] == FAILING} == {"failed"}
    assert not cluster.kube.ready_pods(f"app.kubernetes.io/instance={FAILING}")
