"""`*.mine`: the lab taken for anybody's cluster, known by its kubeconfig alone.

The lab's own stacks are destroyed for it, which is looked at too; what any cluster has
of its own (DNS, metrics) is applied from what `slipway render` prints.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lab import paths
from slipway import images, stack_files
from slipway.engine import Engine
from slipway.render import render
from tests.cluster.conftest import Cluster
from tests.support import oip
from tests.support.kube import wait_until

LAB = ("platform.lab", "models.lab")
MINE = ("platform.mine", "models.mine")
SYSTEM = ("coredns", "metrics-server")
OURS = ("models", "slipway-gateway", "slipway-monitoring")
CRDS = ("gateways.gateway.networking.k8s.io", "envoyproxies.gateway.envoyproxy.io")
SWITCHES = {
    "slipway:metrics_server": {"enabled": False},
    "slipway:gateway": {"service": "NodePort", "node_port": 30080},
}
"""What the stack file's comments tell the owner of such a cluster to set."""
NOTHING_BUT_CRDS = {
    "slipway:envoy_gateway": {"enabled": False},
    "slipway:gateway": {"enabled": False},
    "slipway:metrics_server": {"enabled": False},
    "slipway:monitoring": {
        part: {"enabled": False}
        for part in ("prometheus", "alertmanager", "alert_recorder")
    },
}


def names(cluster: Cluster, kind: str) -> set[str]:
    return {found["metadata"]["name"] for found in cluster.kube.get(kind)}


def checkout(folder: Path, switches: dict[str, Any]) -> Path:
    """A checkout whose `platform.mine` has these settings beside its own."""
    for stack in MINE:
        content = stack_files.load(stack)
        if stack.startswith("platform."):
            content["config"] |= switches
        file = stack_files.path(stack, folder)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content))
    shutil.copy(paths.ROOT / stack_files.PROJECT_FILE, folder)
    return folder


def system_objects() -> list[dict[str, Any]]:
    label = "app.kubernetes.io/name"
    return [
        found
        for found in render("platform.lab").manifests
        if found["metadata"].get("labels", {}).get(label) in SYSTEM
    ]


@pytest.fixture
def bare(cluster: Cluster) -> Iterator[Cluster]:
    """The lab without our stacks, as a cluster that has DNS and metrics of its own."""
    for stack in reversed(LAB):
        Engine().destroy(stack)
    assert not names(cluster, "namespace") & set(OURS)
    assert not names(cluster, "crd") & set(CRDS)
    system = system_objects()
    cluster.kube.apply(*system)
    for name in SYSTEM:
        cluster.kube.rollout(name, "kube-system")
    yield cluster
    cluster.kube.delete(*system)
    cluster.kube.run("delete", "crd", "--all", "--wait=true")
    if cluster.was_up:
        for stack in LAB:
            Engine().up(stack)


def test_up_by_kubeconfig_alone_predicts_and_goes_again(
    bare: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(bare.kube.kubeconfig))
    monkeypatch.setenv("PULUMI_BACKEND_URL", f"file://{tmp_path / 'state'}")
    engine = Engine(root=checkout(tmp_path / "mine", SWITCHES))
    for stack in MINE:
        assert engine.up(stack).changes["create"]
    rows, expected = images.real_rows("employment", 20)

    def answer() -> httpx.Response | None:
        found = httpx.post(bare.infer, content=oip.request(rows), timeout=20)
        return found if found.status_code == 200 else None

    got = wait_until(answer, 60, "an answer through the gateway")
    assert abs(oip.output(got.json(), "probability") - expected).max() <= 1e-6
    for stack in MINE:
        assert set(engine.up(stack).changes) <= {"same"}
    for stack in reversed(MINE):
        engine.destroy(stack)
    assert not names(bare, "namespace") & set(OURS)
    # CRDs stay, for others' objects would go with them: the next `up` takes them over.
    assert names(bare, "crd") >= set(CRDS)
    bare_again = Engine(root=checkout(tmp_path / "again", NOTHING_BUT_CRDS))
    assert bare_again.up("platform.mine").changes["create"]
    bare_again.destroy("platform.mine")
