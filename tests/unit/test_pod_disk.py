"""Every container asks for and bounds its disk; a log must fit its pool's nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from components import catalog
from components.cluster.nodes import node_capacity
from components.security import pod_defaults
from components.settings import SettingsError
from slipway.rendering.render import render
from tests.support import rendered as r

DISK = "ephemeral-storage"
NONE = "0Mi"
"""Of a folder of Envoy Gateway's chart for Wasm, which nothing here uses: the bound of
the container holds for it."""
STACKS = (
    *("platform.lab", "platform.prod", "platform.dev", "platform.mine"),
    *("models.lab", "models.gpu", "models.dev", "models.mine"),
)


def pod_specs(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping with containers, wherever it stands in a manifest."""
    if isinstance(value, Mapping):
        if isinstance(value.get("containers"), list) and value.get("volumes") != "":
            yield dict(value)
        for inner in value.values():
            yield from pod_specs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pod_specs(inner)


def mib(quantity: str) -> int:
    return int(quantity[:-2]) * {"Mi": 1, "Gi": 1024}[quantity[-2:]]


def kinds(stack: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in render(stack, images=r.IMAGES).manifests:
        # Patches of Envoy Gateway's own pods, and schemas, have no images.
        if manifest["kind"] in ("CustomResourceDefinition", "EnvoyProxy"):
            continue
        for spec in pod_specs(manifest):
            yield f"{stack} {manifest['kind']}/{manifest['metadata']['name']}", spec


@pytest.mark.parametrize("stack", STACKS)
def test_every_container_asks_for_and_bounds_its_disk(stack: str) -> None:
    found = list(kinds(stack))
    assert found
    for where, spec in found:
        containers = [*spec["containers"], *spec.get("initContainers", [])]
        for container in containers:
            resources = container.get("resources", {})
            for kind in ("requests", "limits"):
                assert DISK in resources.get(kind, {}), (where, container["name"], kind)
        folders = [it["emptyDir"] for it in spec.get("volumes", []) if "emptyDir" in it]
        taken = sum(
            mib(it.get("sizeLimit", NONE))
            for it in folders
            if it.get("medium") != "Memory"
        )
        bounds = [mib(it["resources"]["limits"][DISK]) for it in spec["containers"]]
        assert sum(bounds) >= taken + pod_defaults.LOGS_MIB * len(bounds), where


def test_the_gateways_proxies_bound_their_disk() -> None:
    manifests = render("platform.lab", images=r.IMAGES).manifests
    (proxy,) = [it for it in manifests if it["kind"] == "EnvoyProxy"]
    deployment = proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"]
    assert DISK in deployment["container"]["resources"]["limits"]


def test_folders_count_but_for_those_in_memory() -> None:
    folders = [
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
        {"name": "x", "configMap": {}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}},
    ]
    assert pod_defaults.folders_mib(folders) == 2048
    unsized = [{"name": "data", "emptyDir": {}}]
    assert pod_defaults.folders_mib(unsized) == pod_defaults.UNSIZED_MIB


def test_prometheus_prunes_before_it_is_evicted() -> None:
    (spec,) = [
        it for where, it in kinds("platform.lab") if where.endswith("prometheus")
    ]
    (size,) = [
        it.partition("=")[2]
        for it in spec["containers"][0]["args"]
        if "retention.size" in it
    ]
    bound = mib(spec["containers"][0]["resources"]["limits"][DISK])
    assert int(size.removesuffix("MB")) < bound - pod_defaults.LOGS_MIB


def on_prod(total_mib: int) -> Any:
    model = {
        **r.EMPLOYMENT,
        "node_selector": {"slipway.dev/pool": "system"},
        "prediction_log": {"total_mib": total_mib},
    }
    return r.models(cluster={"stack": "cluster.prod"}, models={"employment": model})


def test_a_log_that_the_pools_disk_has_no_room_for_is_refused() -> None:
    with pytest.raises(SettingsError) as caught:
        on_prod(500_000)
    (problem,) = caught.value.problems
    assert problem.path == "models.employment.prediction_log.total_mib"
    assert problem.value == 500_000
    assert "takes 500048 MiB of a node's disk" in problem.reason
    most = int(problem.fix.split()[3].rstrip(","))
    on_prod(most)
    with pytest.raises(SettingsError):
        on_prod(most + 1)


def test_room_for_pods_is_what_images_and_the_kubelet_leave() -> None:
    small = catalog.instance_type("m7i.large")
    whole = (100 - node_capacity.SYSTEM_GIB) * 1024 * 90 // 100
    assert node_capacity.pod_disk_mib(small, 100, 20) == whole - 20 * 1024
    assert node_capacity.pod_disk_mib(small, 20, 90) == 0
