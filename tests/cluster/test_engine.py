"""The engine on a real cluster: killed, run again, rendered, destroyed, elsewhere."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from slipway.engine.engine import Engine
from slipway.rendering.render import render
from tests.cluster.conftest import Cluster
from tests.support.kube import wait_until
from toolchain import paths

RECORDER = "slipway-monitoring/alert-recorder"
SLIPWAY = Path(sys.executable).with_name("slipway")


def slipway(
    *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [SLIPWAY, *arguments],
        cwd=paths.ROOT,
        env=os.environ | (environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def own_objects(cluster: Cluster, kinds: tuple[str, ...]) -> list[Any]:
    """Objects of the employment model that its stack made, not its controllers.

    The namespace's own policies belong to the platform.
    """
    made = {"managed-by": "pulumi", "instance": "employment"}
    wanted = {f"app.kubernetes.io/{key}": value for key, value in made.items()}
    return [
        found
        for kind in kinds
        for found in cluster.kube.get(kind)
        if wanted.items() <= found["metadata"].get("labels", {}).items()
    ]


KINDS = (
    "deployment",
    "service",
    "serviceaccount",
    "poddisruptionbudget",
    "networkpolicy",
    "horizontalpodautoscaler",
    "httproute",
)


def contains(live: Any, wanted: Any, path: str = "") -> list[str]:
    """Paths at which `live` lacks or changes what `wanted` asks for."""
    if isinstance(wanted, dict):
        if not isinstance(live, dict):
            return [path]
        return [
            p
            for key, value in wanted.items()
            for p in contains(live.get(key), value, f"{path}.{key}")
        ]
    if isinstance(wanted, list):
        if not isinstance(live, list) or len(live) != len(wanted):
            return [path]
        return [
            p
            for i, (a, b) in enumerate(zip(live, wanted, strict=True))
            for p in contains(a, b, f"{path}[{i}]")
        ]
    return [] if live == wanted else [f"{path}: {live!r} instead of {wanted!r}"]


@pytest.mark.parametrize("stack", ["platform.lab", "models.lab"])
def test_what_is_rendered_is_what_the_engine_created(
    cluster: Cluster, stack: str
) -> None:
    rendered = render(stack).manifests
    differences = []
    for wanted, live in zip(rendered, cluster.kube.live(rendered), strict=True):
        if wanted["kind"] == "Secret":  # a rendering has placeholders
            assert live["data"].keys() == wanted.pop("data").keys()
        name = f"{wanted['kind']}/{wanted['metadata']['name']}"
        differences += contains(live, wanted, name)
    assert differences == []
    created = Engine().objects(stack)
    names = {(m["kind"], m["metadata"]["name"]) for m in rendered}
    assert {(o["kind"], o["metadata"]["name"]) for o in created} == names


def test_a_second_up_changes_nothing(cluster: Cluster) -> None:
    for stack in ("platform.lab", "models.lab"):
        changes = Engine().up(stack).changes
        assert {k for k, n in changes.items() if n} == {"same"}, changes


def drift(folder: Path, *stacks: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, and the report as data and as text."""
    process = slipway("drift", *stacks, "--out", str(folder))
    said, _ = process.communicate(timeout=300)
    assert process.returncode in (0, 1, 2), said
    report = json.loads((folder / "drift.json").read_text())
    return process.returncode, report, (folder / "drift.md").read_text()


def test_what_others_changed_is_drift_and_put_right_if_asked(
    cluster: Cluster, tmp_path: Path
) -> None:
    status, report, _ = drift(tmp_path, "platform.lab")
    assert (status, report["stacks"][0]["items"]) == (0, []), report
    recorder = ("deployment/alert-recorder", "-n", "slipway-monitoring")
    cluster.kube.run("scale", *recorder, "--replicas=0")
    status, report, text = drift(tmp_path, "platform.lab")
    assert status == 1, text
    (item,) = report["stacks"][0]["items"]
    assert (item["action"], item["name"]) == ("changed", RECORDER)
    assert item["changes"] == [{"path": "spec.replicas", "before": "1", "after": "0"}]
    assert f"`{RECORDER}`" in text
    assert "update" not in Engine().up("platform.lab").changes
    changes = Engine().up("platform.lab", refresh=True).changes
    assert changes.pop("update") == 1
    assert set(changes) <= {"same"}
    found = cluster.kube.get("deployment", "alert-recorder", "slipway-monitoring")
    assert found["spec"]["replicas"] == 1
    status, report, _ = drift(tmp_path, "platform.lab", "jobs.gpu")
    assert status == 2
    found, without_state = report["stacks"]
    assert (found["items"], found["error"]) == ([], "")
    assert "has no state of it" in without_state["error"]


class StartedError(Exception):
    """An `up` would have started the engine."""


def without_engine(stack: str) -> tuple[dict[str, int], str]:
    """Changes of an `up`, and what it says; StartedError if it starts the engine."""
    said = io.StringIO()
    engine = Engine(Console(file=said, width=1000))

    def started(*_: Any) -> None:
        raise StartedError(said.getvalue())

    engine._run = started  # type: ignore[assignment, method-assign]
    return engine.up(stack, shortcut=True).changes, said.getvalue()


@pytest.fixture(scope="module")
def as_declared(cluster: Cluster) -> dict[str, int]:
    """Changes of an `up` of the platform, by the engine: all is right afterwards."""
    return Engine().up("platform.lab", refresh=True).changes


def test_an_up_of_what_is_as_declared_starts_no_engine(
    as_declared: dict[str, int],
) -> None:
    assert set(as_declared) <= {"same"}
    changes, said = without_engine("platform.lab")
    assert changes == as_declared
    assert "compared directly, without the engine" in said


@pytest.mark.usefixtures("as_declared")
def test_what_others_changed_starts_the_engine_which_puts_it_right(
    cluster: Cluster,
) -> None:
    """Replicas, a whole object, a label: each is noticed without the engine."""
    there = ("-n", "slipway-monitoring")
    account = ("serviceaccount", "alert-recorder", *there)
    other = ("serviceaccount", "alertmanager", *there)
    changes = {
        f"Deployment/{RECORDER}: spec.replicas is not as declared": (
            *("scale", "deployment/alert-recorder", *there, "--replicas=0"),
        ),
        f"ServiceAccount/{RECORDER} is not the one": ("delete", *account),
        "ServiceAccount/slipway-monitoring/alertmanager: metadata.labels": (
            *("label", *other, "app.kubernetes.io/name=other", "--overwrite"),
        ),
    }
    for noticed, change in changes.items():
        cluster.kube.run(*change)
        with pytest.raises(StartedError, match=f"{noticed}.*: the engine runs"):
            without_engine("platform.lab")
    done = Engine().up("platform.lab", shortcut=True).changes
    made = {kind: number for kind, number in done.items() if number}
    assert made.pop("same")
    assert made == {"create": 1, "update": 2}
    without_engine("platform.lab")
    found = cluster.kube.get("deployment", "alert-recorder", "slipway-monitoring")
    assert found["spec"]["replicas"] == 1
    for name in ("alert-recorder", "alertmanager"):
        found = cluster.kube.get("serviceaccount", name, "slipway-monitoring")
        assert found["metadata"]["labels"]["app.kubernetes.io/name"] == name


def test_a_cluster_by_its_kubeconfig_alone(cluster: Cluster, tmp_path: Path) -> None:
    """`*.mine` finds the lab as it would find anybody's cluster, and what is there."""
    environment = {
        "KUBECONFIG": str(cluster.kube.kubeconfig),
        "PULUMI_BACKEND_URL": f"file://{tmp_path}",
    }
    asked = slipway("preview", "models.mine", environment=environment)
    said, _ = asked.communicate(timeout=300)
    assert asked.returncode == 2, said
    assert "Deployment/models/employment: " in said
    assert "models.lab" in said


@pytest.fixture(scope="module")
def restored(cluster: Cluster) -> Iterator[None]:
    """Once for both tests: the first one ends with all that the second one removes."""
    yield
    Engine().up("models.lab")
    cluster.kube.rollout("employment")


def test_destroy_empties_and_a_killed_up_is_repaired(
    cluster: Cluster, restored: None
) -> None:
    finished(slipway("destroy", "models.lab", "--yes"))
    assert own_objects(cluster, KINDS) == []
    wait_until(lambda: not cluster.kube.get("pod"), 90, "no pod left in models")

    killed = slipway("up", "models.lab")
    wait_until(
        lambda: own_objects(cluster, ("serviceaccount", "networkpolicy", "service")),
        120,
        "the first object of the stack",
        pause=0.05,
    )
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    time.sleep(1)

    finished(slipway("up", "models.lab"))
    cluster.kube.rollout("employment")
    assert len(own_objects(cluster, KINDS)) >= len(KINDS) - 1
    assert set(Engine().up("models.lab").changes) <= {"same"}


def test_a_deletion_that_goes_on_is_waited_for(
    cluster: Cluster, restored: None
) -> None:
    """As a destroy that was killed leaves it: the API server refuses what is new."""
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "held",
            "namespace": "models",
            "finalizers": ["slipway.test/held"],
        },
    }
    cluster.kube.apply(held)
    cluster.kube.run("delete", "namespace", "models", "--wait=false")
    up = slipway("up", "platform.lab")
    wait_until(
        lambda: (
            [x["metadata"]["name"] for x in cluster.kube.get("configmap")] == ["held"]
        ),
        120,
        "nothing but what is held",
    )
    assert up.poll() is None, up.communicate()
    release = '{"metadata": {"finalizers": null}}'
    cluster.kube.run("patch", "configmap", "held", "-n", "models", "-p", release)
    said = finished(up)
    assert "platform.lab: waiting for 1 namespaces that are being deleted" in said
    Engine().refresh("models.lab")  # its objects went with the namespace
    assert cluster.kube.get("namespace", "models")["status"]["phase"] == "Active"
