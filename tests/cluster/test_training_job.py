"""Gangs of two pods in the lab: they meet by name, go on after a loss, and report.

The checkpoints lie on a folder of w1, by a volume that the test makes: the lab has no
provisioner. So that gang runs on w1; the other one is spread over both hosts.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import lab
from tests.cluster.conftest import Cluster
from tests.support import host_volume, stack_command
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

STACK, HOST = "jobs.gang", "w1"
FOLDER = "/var/lib/slipway-test-checkpoints"
TRAIN, FAIL = "gang-train", "gang-fail"
STEPS, FIRST, STATUS = 150, 5, 7
SECONDS = 240
PROGRAM = f"""
import json, os, socket, sys, time
rank, steps = int(os.environ["SLIPWAY_NODE_RANK"]), {STEPS}
coordinator = os.environ["SLIPWAY_COORDINATOR"]
place = os.environ.get("SLIPWAY_CHECKPOINT")
file = f"{{place}}/{{rank}}.json"

def load():
    if place is None or not os.path.exists(file):
        return 0
    return json.load(open(file))["step"]

def keep(step):
    if place is None:
        return
    os.makedirs(place, exist_ok=True)
    with open(file + ".part", "w") as part:
        json.dump({{"step": step}}, part)
    os.replace(file + ".part", file)

def peer():
    while True:
        try:
            return socket.create_connection((coordinator, 5000), 2)
        except OSError:
            time.sleep(0.5)

step = load()
print(f"rank {{rank}} begins at step {{step}}", flush=True)
if rank == 0:
    server = socket.create_server(("", 5000))
    while step < steps:
        with server.accept()[0] as other, other.makefile("r") as lines:
            print("rank 0 has met rank 1", flush=True)
            for line in lines:
                step = int(line)
                keep(step)
else:
    with peer() as first:
        print("rank 1 has met rank 0", flush=True)
        if place is None:
            sys.exit({STATUS})
        while step < steps:
            time.sleep(0.2)
            step += 1
            first.sendall(f"{{step}}\\n".encode())
            keep(step)
print(f"rank {{rank}} is done", flush=True)
"""
GANG: dict[str, Any] = {
    "image": "model-server",
    "command": ["python3", "-u", "-c", PROGRAM],
    "nodes": 2,
    "resources": {
        "cpu_request_millicores": 20,
        "cpu_limit_millicores": 500,
        "memory_request_mib": 32,
        "memory_limit_mib": 128,
    },
    "start_timeout_seconds": 120,
    "deadline_seconds": SECONDS,
    "stop_seconds": 1,
}
JOBS = {
    TRAIN: {
        **GANG,
        "checkpoint": {"claim": TRAIN, "many_nodes": True},
        "restarts": {"gang_restarts": 2},
    },
    FAIL: GANG,
}


@pytest.fixture(scope="module")
def stack(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OwnStack]:
    own = OwnStack(STACK, Path(tmp_path_factory.mktemp("gang")))
    host, made = lab.Lab().host(HOST), host_volume.claimed(TRAIN, HOST, FOLDER)
    with ExitStack() as cleanup:
        # Checkpoints of a run that was cut would be gone on from.
        host.run(["rm", "-rf", FOLDER])
        cleanup.callback(host.run, ["rm", "-rf", FOLDER])
        host.run(["install", "-d", "-m", "0777", FOLDER])
        cleanup.callback(cluster.kube.delete, *reversed(made))
        cluster.kube.apply(*made)
        cleanup.callback(own.down)
        own.up(training=JOBS)
        yield own


def slipway(stack: OwnStack, *words: str) -> subprocess.Popen[str]:
    """The command, about this stack."""
    return stack_command.start(stack.root, *words, "--stack", STACK)


def step(rank: int) -> int:
    """What the worker's checkpoint says."""
    file = f"{FOLDER}/{TRAIN}/{rank}.json"
    found = lab.Lab().host(HOST).run(["cat", file], check=False)
    return int(json.loads(found.stdout)["step"]) if not found.returncode else 0


def worker(cluster: Cluster, job: str, rank: int) -> str:
    label = f"app.kubernetes.io/instance={job}"
    index = f"batch.kubernetes.io/job-completion-index={rank}"
    pods = wait_until(
        lambda: cluster.kube.ready_pods(f"{label},{index}"),
        60,
        f"worker {rank} of {job}",
    )
    return str(pods[0]["metadata"]["name"])


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    status: int
    said: str
    seconds: float


def ended(process: subprocess.Popen[str]) -> Ended:
    started = time.monotonic()
    said, _ = process.communicate(timeout=SECONDS)
    return Ended(process.returncode, said, time.monotonic() - started)


@pytest.fixture(scope="module")
def runs(stack: OwnStack) -> Iterator[dict[str, Future[Ended]]]:
    """Both at once, for each waits for its pods most of the time."""
    begun = {job: slipway(stack, "run", job, "--wait") for job in JOBS}
    with ThreadPoolExecutor(len(begun)) as pool:
        try:
            yield {job: pool.submit(ended, process) for job, process in begun.items()}
        finally:
            for process in begun.values():
                process.kill()


def test_a_deleted_pod_goes_on_from_its_checkpoint(
    cluster: Cluster, runs: dict[str, Future[Ended]]
) -> None:
    wait_until(lambda: step(1) >= FIRST, 120, "the first checkpoints")
    lost = worker(cluster, TRAIN, 1)
    cluster.kube.run("delete", "pod", lost, "-n", "models", "--wait=false")
    run = runs[TRAIN].result()
    said = run.said
    assert run.status == 0, said
    begun = [int(at) for at in re.findall(r"rank 1 begins at step (\d+)", said)]
    assert begun[0] == 0
    assert FIRST <= begun[-1] < STEPS, said
    assert len(begun) == 2
    # The other worker was not started again.
    assert len(re.findall("rank 0 begins", said)) == 1
    assert len(re.findall("rank 0 has met rank 1", said)) == 2
    assert step(0) == step(1) == STEPS
    assert "succeeded" in said


def test_the_status_of_a_failed_run_is_that_of_its_worker(
    cluster: Cluster, stack: OwnStack, runs: dict[str, Future[Ended]]
) -> None:
    run = runs[FAIL].result()
    assert run.status == STATUS, run.said
    assert "rank 1 has met rank 0" in run.said
    assert f"ended with {STATUS}" in run.said
    assert run.seconds < SECONDS
    with slipway(stack, "jobs", "--json") as listed:
        lines = listed.communicate(timeout=60)[0].splitlines()
    rows = [json.loads(line) for line in lines]
    assert {row["state"] for row in rows if row["job"] == FAIL} == {"failed"}
    gang = f"app.kubernetes.io/instance={FAIL}"
    wait_until(lambda: not cluster.kube.ready_pods(gang), 30, "no worker is left")
