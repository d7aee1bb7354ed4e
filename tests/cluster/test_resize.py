"""`slipway resize` on the lab's replicas: in place, under load, nobody restarted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from click.testing import CliRunner, Result

from components.serving.args.parts import parts
from components.serving.models_settings import ModelsSettings
from slipway import images, stack_settings
from slipway.cli import cli
from slipway.doctor.quantity import parse
from slipway.engine import stack_api
from slipway.resize import plan, replica
from slipway.resize.plan import Change
from slipway.resize.replica import ResizeError, Watch
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.disturbance import assert_none_lost, load
from tests.support.kube import wait_until

STACK, MODEL = "models.lab", "employment"
LARGER = {"memory_request_mib": 160, "memory_limit_mib": 448}
FORMER = {"memory_request_mib": 128, "memory_limit_mib": 384}
RATE = 60.0
SETTLED_SECONDS = 180.0


def resize(**sizes: int) -> Result:
    words = [f"--set={name}={value}" for name, value in sizes.items()]
    return CliRunner().invoke(cli, ["resize", MODEL, "--stack", STACK, "--yes", *words])


def resize_settled(**sizes: int) -> Result:
    """Done once the autoscaler adds and removes no replicas, which refuses a resize."""
    results: list[Result] = []

    def is_done() -> bool:
        results.append(resize(**sizes))
        output = results[-1].output
        assert results[-1].exit_code == 0 or "a rollout goes on" in output, output
        return results[-1].exit_code == 0

    wait_until(is_done, SETTLED_SECONDS, "a resize that no rollout refuses")
    return results[-1]


def replicas(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """By name: the server's container as the kubelet reports it."""
    found = cluster.kube.ready_pods(f"app.kubernetes.io/instance={MODEL}")
    return {
        pod["metadata"]["name"]: status
        for pod in found
        for status in pod["status"]["containerStatuses"]
        if status["name"] == "server"
    }


@contextmanager
def put_back() -> Iterator[None]:
    """The replicas have their former sizes afterwards, whatever happens."""
    try:
        yield
    finally:
        resize_settled(**FORMER)


def test_memory_is_resized_under_load_and_no_request_fails(cluster: Cluster) -> None:
    body = oip.request(images.real_rows(MODEL, 1)[0])
    before = replicas(cluster)
    with load(cluster.infer, body, rate=RATE) as running, put_back():
        done = resize_settled(**LARGER)
        after = replicas(cluster)
    assert_none_lost(running.report, 1)
    # The autoscaler may have added some; those that were there are the same processes.
    assert len(before) >= 2
    for name, status in before.items():
        now = after[name]
        assert now["containerID"] == status["containerID"]
        assert now["restartCount"] == status["restartCount"]
        resources = now["resources"]
        assert parse(resources["requests"]["memory"]) == parse("160Mi")
        assert parse(resources["limits"]["memory"]) == parse("448Mi")
        assert f"{name} has its new size" in done.output
    for name, status in replicas(cluster).items():
        assert parse(status["resources"]["limits"]["memory"]) == parse("384Mi"), name


def test_the_autoscaler_by_cpu_refuses_another_request(cluster: Cluster) -> None:
    before = replicas(cluster)
    done = resize(cpu_request_millicores=120)
    assert done.exit_code == 1
    assert "scales employment by cpu in percent of the request" in done.output
    for name, status in replicas(cluster).items():
        assert status["resources"] == before.get(name, status)["resources"]


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ({"cpu_request_millicores": 110}, ""),
        ({"memory_request_mib": 900_000, "memory_limit_mib": 900_000}, "keeps its|was"),
    ],
)
def test_one_replica_gets_its_size_or_keeps_the_former(
    cluster: Cluster, sizes: dict[str, int], text: str
) -> None:
    """CPU as well, beside the autoscaler for a moment; and more than any node has."""
    settings = stack_settings.load(STACK, ModelsSettings)
    (part,) = parts(MODEL, settings.models[MODEL])
    namespace, watch = settings.platform.namespace, Watch(60)
    former = part.args.resources.model_dump()
    with stack_api.of_stack(STACK) as api:
        pod = plan.replicas(api, namespace, part)[0]
        name = pod["metadata"]["name"]
        if text:
            with pytest.raises(ResizeError, match=text):
                replica.resize(api, namespace, pod, Change(part, sizes), watch)
        else:
            replica.resize(api, namespace, pod, Change(part, sizes), watch)
            actual = replicas(cluster)[name]["resources"]
            assert parse(actual["requests"]["cpu"]) == parse("110m")
            back = {it: former[it] for it in sizes}
            replica.resize(api, namespace, pod, Change(part, back), watch)
        after = replicas(cluster)[name]["resources"]
    assert parse(after["requests"]["cpu"]) == parse("100m")
    assert parse(after["limits"]["memory"]) == parse("384Mi")
