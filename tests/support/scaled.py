"""KEDA and a model that scales by requests in flight, in the lab, for a while.

Both are stacks of their own beside the lab's: the model is served a second time, by a
server of another name and at another path.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import yaml

from components import naming
from components.cluster.existing import cluster_access
from components.cluster.existing.cluster_access import ClusterAccess
from components.platform.keda import Keda, KedaDefinitions
from components.platform.keda_settings import KedaSettings
from components.platform.namespaces import add_namespace
from slipway import images
from slipway.cluster.kube_api import KubeApi
from slipway.engine.engine import Engine
from tests.support import own_stack
from tests.support.kube import wait_until
from toolchain import paths

KEDA_STACK, MODELS_STACK = "platform.scaling", "models.scaling"
NAME, MODEL = "scaled", "employment"
PATH = f"/{NAME}/v1"
SERVER = {
    "model": MODEL,
    "model_image": MODEL,
    "route": {"prefix": PATH},
    "resources": {
        "cpu_request_millicores": 50,
        "cpu_limit_millicores": 300,
        "memory_request_mib": 96,
        "memory_limit_mib": 384,
    },
    "prediction_log": {"total_mib": 16, "file_mib": 8},
    "alerts": {"window_seconds": 60, "for_seconds": 5},
}
"""Small, as the lab is: several replicas share two cores with everything else."""
NAMESPACE = naming.MODELS_NAMESPACE


def keda() -> None:
    """The program of the stack that has KEDA."""
    provider = cluster_access.provider(ClusterAccess(kubeconfig="lab"))
    options = pulumi.ResourceOptions(provider=provider)
    namespace = add_namespace(
        naming.KEDA_NAMESPACE, component="autoscaler", opts=options
    )
    settings = KedaSettings(enabled=True, retain=False)
    kinds = KedaDefinitions("keda-crds", settings, options)
    after = pulumi.ResourceOptions(provider=provider, depends_on=[namespace, kinds])
    Keda("keda", settings, [NAMESPACE], after)


@dataclass
class Scaled:
    """Both, and what was seen of the replicas."""

    api: KubeApi
    root: Path
    """A copy of the files that the engine needs of the checkout."""
    seen: list[tuple[float, int]] = field(default_factory=list)
    """(time.monotonic, replicas asked for) at each look."""

    def up(self, scaling: dict[str, Any]) -> None:
        """Builds and pushes KEDA's image if needed, and brings both stacks up."""
        images.push(names=["keda"])
        files = self.root / "stacks" / "config"
        files.mkdir(parents=True)
        shutil.copy(paths.ROOT / "Pulumi.yaml", self.root)
        of_keda = {"config": {"slipway:cluster": {"kubeconfig": "lab"}}}
        (files / f"Pulumi.{KEDA_STACK}.yaml").write_text(yaml.safe_dump(of_keda))
        config = {
            "slipway:cluster": {"kubeconfig": "lab"},
            "slipway:platform": {"keda": {}},
            "slipway:models": {NAME: {**SERVER, "scaling": scaling}},
        }
        file = files / f"Pulumi.{MODELS_STACK}.yaml"
        file.write_text(yaml.safe_dump({"config": config}))
        self.engine().up(KEDA_STACK)
        self.engine().up(MODELS_STACK)

    def engine(self) -> Engine:
        return Engine(programs={KEDA_STACK: keda}, root=self.root)

    def down(self) -> None:
        """Leaves the lab as it is without them; KEDA goes last, as it must."""
        own_stack.end_pods(MODELS_STACK)
        self.engine().destroy(MODELS_STACK)
        self.engine().destroy(KEDA_STACK)

    def replicas(self) -> int:
        """How many replicas are asked for now."""
        path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAME}/scale"
        found = int(json.loads(self.api.text(path))["spec"]["replicas"])
        self.seen.append((time.monotonic(), found))
        return found

    def watch(self, seconds: float, until: Callable[[], Any] = lambda: False) -> None:
        """Looks at the replicas for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not until():
            self.replicas()
            time.sleep(0.5)

    def changes_since(self, start: float) -> list[int]:
        """Replicas that were asked for, one after the other."""
        found: list[int] = []
        for at, number in self.seen:
            if at >= start and (not found or found[-1] != number):
                found.append(number)
        return found

    def condition(self, kind: str) -> str:
        """Status of a condition of the ScaledObject."""
        path = f"/apis/keda.sh/v1alpha1/namespaces/{NAMESPACE}/scaledobjects/{NAME}"
        status = json.loads(self.api.text(path)).get("status", {})
        return next(
            (c["status"] for c in status.get("conditions", []) if c["type"] == kind),
            "",
        )

    def at_rest(self, replicas: int, seconds: float) -> None:
        wait_until(
            lambda: self.replicas() == replicas, seconds, f"{replicas} replicas asked"
        )
