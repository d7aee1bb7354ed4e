"""On a real API server: what others made stays, and a route of no use is a failure."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pytest
import yaml

from components import naming
from components.cluster.existing import cluster_access
from components.cluster.existing.cluster_access import ClusterAccess
from components.ownership import Ownership
from components.platform import manifest
from components.platform.namespaces import add_namespace
from components.settings import SettingsError
from slipway import stack_files
from slipway.engine.engine import Engine
from slipway.engine.results import EngineError
from tests.cluster.conftest import Cluster
from toolchain import paths

STACK, SPACE = "platform.adopted", "slipway-adopted"
LABEL = naming.STACK_LABEL
LAB = ClusterAccess(kubeconfig="lab")
Declare = Callable[[pulumi.ResourceOptions], None]


@pytest.fixture
def engine(cluster: Cluster, tmp_path: Path) -> Iterator[Callable[..., Engine]]:
    """An engine for a small program in the lab; its objects are destroyed at last."""
    file = stack_files.path(STACK, tmp_path)
    file.parent.mkdir(parents=True)
    file.write_text(yaml.safe_dump({"config": {"slipway:cluster": LAB.model_dump()}}))
    shutil.copy(paths.ROOT / stack_files.PROJECT_FILE, tmp_path)

    def make(declare: Declare, *adopt: str) -> Engine:
        def program() -> None:
            owned = Ownership(STACK, adopt)
            provider = cluster_access.provider(LAB)
            declare(pulumi.ResourceOptions(provider=provider))
            owned.require_declared("the test")

        return Engine(programs={STACK: program}, root=tmp_path)

    yield make
    make(lambda _: None).destroy(STACK)
    cluster.kube.run("delete", "namespace", SPACE, "--ignore-not-found", "--wait=false")


def namespace(opts: pulumi.ResourceOptions) -> None:
    add_namespace(SPACE, component="models", opts=opts)


def test_what_others_made_stays_with_all_that_is_in_it(
    cluster: Cluster, engine: Callable[..., Engine]
) -> None:
    kube = cluster.kube
    kube.run("create", "namespace", SPACE)
    kube.run("create", "configmap", "precious", "-n", SPACE, "--from-literal=k=v")
    before = kube.get("namespace", SPACE)["metadata"]
    unasked = engine(namespace)
    for verb in (unasked.preview, unasked.up):
        with pytest.raises(SettingsError) as error:
            verb(STACK)
        (problem,) = error.value.problems
        assert problem.path == f"Namespace/{SPACE}"
        assert problem.value == "managed by kubectl-create"
    assert kube.get("namespace", SPACE)["metadata"] == before

    adopting = engine(namespace, f"Namespace/{SPACE}")
    assert adopting.up(STACK).changes["create"] >= 3
    labels = kube.get("namespace", SPACE)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert LABEL not in labels
    assert len(kube.get("networkpolicy", namespace=SPACE)) == 2

    with pytest.raises(SettingsError):  # the entry is gone: `destroy` would delete it
        engine(namespace).up(STACK)
    adopting.destroy(STACK)
    assert kube.get("configmap", "precious", SPACE)["data"] == {"k": "v"}
    assert kube.get("networkpolicy", namespace=SPACE) == []

    with pytest.raises(SettingsError):  # to have been adopted once makes it not ours
        engine(namespace).up(STACK)
    kube.run("label", "namespace", SPACE, f"{LABEL}={STACK}")
    engine(namespace).up(STACK)
    engine(namespace).destroy(STACK)
    found = kube.run("get", "namespace", SPACE, "--ignore-not-found").stdout
    assert SPACE not in found


def routes(*names: str, gateway: str, backend: str) -> Declare:
    parent = {"name": gateway, "namespace": naming.GATEWAY_NAMESPACE}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/others-objects"}}],
        "backendRefs": [{"name": backend, "port": 80}],
    }

    def declare(opts: pulumi.ResourceOptions) -> None:
        for name in names:
            content: dict[str, Any] = {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": name, "namespace": naming.MODELS_NAMESPACE},
                "spec": {"parentRefs": [parent], "rules": [rule]},
            }
            manifest.add(content, name, opts)

    return declare


@pytest.mark.parametrize(
    ("gateway", "backend", "why"),
    [
        ("nowhere", "employment", "there is no Gateway slipway-gateway/nowhere"),
        (naming.GATEWAY, "nobody", "ResolvedRefs is False (BackendNotFound): "),
    ],
)
def test_a_route_of_no_use_is_a_failure_that_says_why(
    engine: Callable[..., Engine], gateway: str, backend: str, why: str
) -> None:
    with pytest.raises(EngineError) as error:
        engine(routes("lost", gateway=gateway, backend=backend)).up(STACK)
    assert f"HTTPRoute/models/lost: {why}" in str(error.value)
    assert "Done before that, and recorded: " in str(error.value)


def test_routes_that_overlap_are_a_warning(engine: Callable[..., Engine]) -> None:
    both = routes("first", "second", gateway=naming.GATEWAY, backend="employment")
    warnings = engine(both).up(STACK).warnings
    overlaps = [text for text in warnings if "RouteRulesOverlap is True" in text]
    assert {text.partition(":")[0] for text in overlaps} == {
        "HTTPRoute/models/first",
        "HTTPRoute/models/second",
    }
