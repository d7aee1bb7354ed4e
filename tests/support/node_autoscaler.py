"""Karpenter's core with simulated machines, beside the API server of a lab.

Karpenter's own kwok provider stands for EC2: its "launch" makes a Node object. kwok
plays the kubelets of these nodes. Both are upstream's programs, unchanged, and run as
transient units of systemd on the control plane's host, so that nothing outside the lab
sees them and they end with it.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.host import Host
from tests.support.kube import Kube, wait_until
from toolchain import builds

GROUPS = ("karpenter", "kwok")
FOLDER = "/var/tmp/slipway-node-autoscaler"
"""On the host's own disk."""
KUBECONFIG = "/etc/kubernetes/admin.conf"
SIMULATED = "kwok.x-k8s.io/node=fake"
STAGES = Path(__file__).with_name("kwok-stages.yaml")
UNITS = ("slipway-karpenter", "slipway-kwok")
NODE_CLASS: dict[str, Any] = {
    "apiVersion": "karpenter.kwok.sh/v1alpha1",
    "kind": "KWOKNodeClass",
    "metadata": {"name": "simulated"},
}
KARPENTER_SETTINGS = {
    "KUBECONFIG": KUBECONFIG,
    "DISABLE_LEADER_ELECTION": "true",
    "METRICS_PORT": "18080",
    "HEALTH_PROBE_PORT": "18081",
    "SYSTEM_NAMESPACE": "kube-system",
    "KARPENTER_SERVICE": "karpenter",
    "KUBERNETES_MIN_VERSION": "1.19.0-0",
    # Slices of GPUs; components/platform/karpenter.py turns it on too.
    "FEATURE_GATES": "NodeOverlay=true",
    "INSTANCE_TYPES_FILE_PATH": f"{FOLDER}/instance-types.json",
}


@dataclass(frozen=True)
class NodeAutoscaler:
    """Karpenter and kwok for the cluster `kube`, run on its host `host`."""

    kube: Kube
    host: Host

    def start(self, instance_types: list[dict[str, Any]]) -> None:
        """Builds both if needed, and starts them with these machines on offer."""
        builds.build_all(GROUPS)
        self.stop()
        self.kube.apply(*_crds())
        names = [f"crd/{crd['metadata']['name']}" for crd in _crds()]
        self.kube.run("wait", "--for=condition=Established", *names, "--timeout=60s")
        self.kube.apply(NODE_CLASS)
        self._copy(instance_types)
        settings = [f"--setenv={k}={v}" for k, v in KARPENTER_SETTINGS.items()]
        self._start("slipway-karpenter", *settings, f"{FOLDER}/karpenter")
        self._start(
            "slipway-kwok",
            f"{FOLDER}/kwok",
            f"--kubeconfig={KUBECONFIG}",
            f"--manage-nodes-with-annotation-selector={SIMULATED}",
            "--node-lease-duration-seconds=40",
            f"--config={FOLDER}/stages.yaml",
            "--v=WARN",
        )

    def _copy(self, instance_types: list[dict[str, Any]]) -> None:
        init = self.host.init
        assert init, f"host {self.host.name} is down"
        folder = Path(f"/proc/{init.pid}/root{FOLDER}")
        folder.mkdir(parents=True)
        for group in GROUPS:
            shutil.copy(builds.group(group).binary("kwok"), folder / group)
        (folder / "instance-types.json").write_text(json.dumps(instance_types))
        pods = builds.group("kwok").folder / "files" / "stages" / "pod" / "fast"
        stages = [STAGES, pods / "pod-ready.yaml", pods / "pod-delete.yaml"]
        text = "\n---\n".join(path.read_text() for path in stages)
        (folder / "stages.yaml").write_text(text)

    def _start(self, unit: str, *words: str) -> None:
        self.host.run(["systemd-run", f"--unit={unit}", "--collect", *words])

    def log(self, unit: str = UNITS[0], lines: int = 40) -> str:
        """The last lines of a unit."""
        show = ["journalctl", f"--unit={unit}", f"--lines={lines}", "--output=cat"]
        return self.host.run(show, check=False).stdout

    def nodes(self) -> list[dict[str, Any]]:
        """The simulated nodes that there are."""
        found: list[dict[str, Any]] = self.kube.get("nodes", selector=SIMULATED)
        return found

    def stop(self) -> None:
        """Ends both and removes what they made; the workloads must be gone already.

        Works too where an earlier run was killed: then nobody is left to take the
        finalizers off.
        """
        try:
            self._end_nodes()
        finally:
            self.host.run(["systemctl", "stop", *UNITS], check=False)
            self.host.run(["rm", "--recursive", "--force", FOLDER])
        for kind in ("nodeclaims", "nodepools", "nodeoverlays", "nodes"):
            self._release(kind)
        self.kube.delete(*_crds())

    def _end_nodes(self) -> None:
        """Has Karpenter end its nodes, if both programs run."""
        if not self._has_pools():
            return
        running = self.host.run(["systemctl", "is-active", *UNITS], check=False)
        self.kube.run("delete", "nodepools", "--all", "--wait=false")
        if running.stdout.split() == ["active", "active"]:
            wait_until(lambda: not self.nodes(), 300, "no simulated node is left")

    def _has_pools(self) -> bool:
        return self.kube.has("customresourcedefinition", "nodepools.karpenter.sh")

    def _release(self, kind: str) -> None:
        """Removes what is left of a kind without waiting for its controller."""
        if kind != "nodes" and not self._has_pools():
            return
        chosen = [f"--selector={SIMULATED}"] if kind == "nodes" else []
        listed = self.kube.run("get", kind, *chosen, "--output=name")
        if names := listed.stdout.split():
            patch = '{"metadata":{"finalizers":null}}'
            self.kube.run("delete", *names, "--wait=false", check=False)
            # Some may be gone by now; kubectl goes on with the others.
            self.kube.run("patch", *names, "--type=merge", "-p", patch, check=False)


def _crds() -> list[dict[str, Any]]:
    files = builds.group("karpenter").folder / "files"
    found = [*files.glob("crds/*.yaml"), *files.glob("kwok-crds/*.yaml")]
    assert found, files
    return [yaml.safe_load(path.read_text()) for path in sorted(found)]
