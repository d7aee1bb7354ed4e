"""`*.mine`: the nodes taken for anybody's cluster, known by its kubeconfig alone.

They are the playbooks' tests' own hosts, so that nobody's lab is touched. What any
cluster has of its own (DNS, metrics) is applied from what `slipway render` prints.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from lab.lab import Lab
from lab.playbook import PlaybookResult
from lab.settings import PORT_OFFSET_VARIABLE
from slipway import images, stack_files
from slipway.engine.engine import Engine
from slipway.local import command as local
from slipway.rendering.render import render
from tests.support import oip
from tests.support.kube import Kube, wait_until
from toolchain import paths

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or os.geteuid() != 0,
    reason="hosts in namespaces need Linux and root",
)

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


def names(kube: Kube, kind: str) -> set[str]:
    return {found["metadata"]["name"] for found in kube.get(kind)}


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


@dataclass(frozen=True)
class Bare:
    """The hosts as anybody's cluster, with DNS and metrics of its own."""

    kube: Kube
    infer: str


@pytest.fixture
def bare(
    lab: Lab, converged: PlaybookResult, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bare]:
    lab.up()
    offset = lab.settings.port_offset
    monkeypatch.setenv(PORT_OFFSET_VARIABLE, str(offset))
    images.build()
    images.push()
    kube = Kube(lab.kubeconfig)
    assert not names(kube, "namespace") & set(OURS)
    assert not names(kube, "customresourcedefinition") & set(CRDS)
    system = system_objects()
    kube.apply(*system)
    for name in SYSTEM:
        kube.rollout(name, "kube-system")
    yield Bare(kube, local.urls(lab.settings)["gateway"] + local.PREDICTION_PATH)
    kube.delete(*system)


def test_up_by_kubeconfig_alone_predicts_and_goes_again(
    bare: Bare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    assert not names(bare.kube, "namespace") & set(OURS)
    # CRDs stay, for others' objects would go with them: the next `up` takes them over.
    assert names(bare.kube, "customresourcedefinition") >= set(CRDS)
    bare_again = Engine(root=checkout(tmp_path / "again", NOTHING_BUT_CRDS))
    assert bare_again.up("platform.mine").changes["create"]
    bare_again.destroy("platform.mine")
