"""The training examples in the lab: two workers, one lost, the result of one process.

The images have 0.6 to 1.4 GB and are built on demand, so the tests run if `TRAINING` is
set. Checkpoints and results lie on a folder of w1, by a volume that the test makes, so
all pods run on w1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lab
from models.employment.training import samples
from slipway import images
from slipway.images.models import downloads
from tests.cluster.conftest import Cluster
from tests.support import host_volume, pushed_folders, stack_command
from tests.support.kube import wait_until
from tests.support.own_stack import OwnStack

WANTED = "TRAINING"
"""Variable of the environment that has the images built where they are not."""
pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        WANTED not in os.environ,
        reason=f"{WANTED}=1 builds the images train-* (3 GB) and runs them",
    ),
]
STACK, HOST, CLAIM = "jobs.frameworks", "w1", "frameworks"
FOLDER = "/var/lib/slipway-test-frameworks"
ROWS, YEAR = 8000, 2017
STEPS, CHECKPOINT_STEPS = 120, 10
SECONDS = 420
"""Of a run in which a worker is lost; most of it are imports."""
TOLERANCE = 1e-5
"""Of a loss of about 0.4: sums of FP32 in another order."""
DIVIDED = "torch-divided"
"""A network whose parts lie on two workers."""
FRAMEWORKS = ("jax", "tensorflow", "torch")


@dataclass(frozen=True)
class Said:
    """The output of a run."""

    text: str

    @property
    def begun(self) -> list[int]:
        """The steps at which worker 1 has begun."""
        found = re.findall(r"worker 1 of 2 begins at step (\d+)", self.text)
        return [int(it) for it in found]

    @property
    def losses(self) -> list[float]:
        """Of all workers at the end."""
        return [float(it) for it in re.findall(r"is done: loss ([\d.]+)", self.text)]


def job(framework: str, data: str, **own: Any) -> dict[str, Any]:
    return {
        "framework": framework,
        "image": f"train-{framework}",
        "command": [
            *("python3", "-u", "/app/train.py", "--name", f"census-{framework}"),
            *("--steps", str(STEPS), "--checkpoint-steps", str(CHECKPOINT_STEPS)),
            *("--step-seconds", "0.2"),
        ],
        "resources": {
            "cpu_request_millicores": 100,
            "cpu_limit_millicores": 1000,
            "memory_request_mib": 256,
            "memory_limit_mib": 1024,
        },
        "data": {"image": data},
        "start_timeout_seconds": 120,
        "deadline_seconds": SECONDS,
        "stop_seconds": 1,
        **own,
    }


def jobs(framework: str, data: str) -> dict[str, Any]:
    """Two workers with checkpoints, and one process without."""

    def place(name: str) -> dict[str, Any]:
        return {"claim": CLAIM, "many_nodes": True, "path": name}

    pair, solo = f"{framework}-pair", f"{framework}-solo"
    torch, divided = framework == "torch", ["python3", "/app/parallel.py"]
    return {
        pair: job(
            framework,
            data,
            nodes=2,
            checkpoint=place(f"{pair}-checkpoint"),
            result=place(pair),
            restarts={"gang_restarts": 4, **({"worker_restarts": 10} if torch else {})},
        ),
        solo: job(framework, data, nodes=1, result=place(solo)),
        **({DIVIDED: job(framework, data, nodes=2, command=divided)} if torch else {}),
    }


@pytest.fixture(scope="module")
def data(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image with rows of the census, as `data.image` takes one."""
    folder = tmp_path_factory.mktemp("rows") / "data"
    folder.mkdir()
    rows = samples.rows(ROWS, YEAR, downloads())
    np.savez(folder / "rows.npz", x=rows.features, y=rows.labels)
    return pushed_folders.push("census-rows", folder)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def trained(
    request: pytest.FixtureRequest,
    cluster: Cluster,
    data: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, OwnStack]]:
    """The framework, and the stack with its jobs."""
    framework, host = request.param, lab.Lab().host(HOST)
    images.push(names=[f"train-{framework}"])
    stack = OwnStack(STACK, Path(tmp_path_factory.mktemp("frameworks")))
    volume = host_volume.claimed(CLAIM, HOST, FOLDER)
    with ExitStack() as cleanup:
        host.run(["rm", "-rf", FOLDER])
        cleanup.callback(host.run, ["rm", "-rf", FOLDER])
        host.run(["install", "-d", "-m", "0777", FOLDER])
        cleanup.callback(cluster.kube.delete, *reversed(volume))
        cluster.kube.apply(*volume)
        cleanup.callback(stack.down)
        stack.up(training=jobs(framework, data))
        yield framework, stack


def run(
    stack: OwnStack, name: str, meanwhile: Callable[[], None] = lambda: None
) -> Said:
    """Run a job to its end, and something else at the same time."""
    words = ("run", name, "--wait", "--stack", STACK)
    with stack_command.start(stack.root, *words) as process:
        try:
            meanwhile()
        except BaseException:
            process.kill()
            raise
        status, text = stack_command.ended(process, SECONDS)
    assert status == 0, text
    return Said(text)


def files(name: str) -> list[str]:
    """Names of the files of a result, sorted."""
    words = ["find", f"{FOLDER}/{name}/model", "-type", "f", "-printf", "%P\\n"]
    return sorted(lab.Lab().host(HOST).run(words).stdout.splitlines())


def lose_worker(cluster: Cluster, name: str) -> None:
    """Delete the pod of worker 1 once there is a checkpoint."""
    host, checkpoint = lab.Lab().host(HOST), f"{FOLDER}/{name}-checkpoint"

    def is_written() -> bool:
        found = host.run(["find", checkpoint, "-name", "*.npz"], check=False)
        return bool(found.stdout.strip())

    wait_until(is_written, SECONDS / 2, "the first checkpoint")
    labels = f"app.kubernetes.io/instance={name},"
    labels += "batch.kubernetes.io/job-completion-index=1"
    (pod,) = cluster.kube.ready_pods(labels)
    words = ("pod", pod["metadata"]["name"], "-n", "models", "--wait=false")
    cluster.kube.run("delete", *words)


def test_a_lost_worker_changes_nothing_of_the_result(
    cluster: Cluster, trained: tuple[str, OwnStack]
) -> None:
    framework, stack = trained
    pair, solo = f"{framework}-pair", f"{framework}-solo"
    said = run(stack, pair, lambda: lose_worker(cluster, pair))
    assert said.begun[0] == 0
    assert CHECKPOINT_STEPS <= said.begun[-1] < STEPS, said.text
    alone = run(stack, solo)
    (expected,) = alone.losses
    assert len(said.losses) >= 2
    assert said.losses == pytest.approx([expected] * len(said.losses), abs=TOLERANCE)
    assert "model.yaml" in files(pair)
    assert files(pair) == files(solo)


def test_a_network_is_divided_between_two_workers(
    trained: tuple[str, OwnStack],
) -> None:
    """Tensor and pipeline parallel, each with the weights of one process."""
    framework, stack = trained
    if framework != "torch":
        pytest.skip("a job of torch alone")
    said = run(stack, DIVIDED)
    assert re.findall(r"(\w+): largest difference", said.text) == [
        "tensor_parallel",
        "pipeline_parallel",
    ]
