"""A small stack as the engine leaves it: its state, and its objects in a cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from components import naming
from slipway import stack_files
from slipway.cluster import drift
from slipway.engine import locks, unchanged, workspace
from slipway.engine.unchanged import Unchanged
from slipway.rendering import manifests
from slipway.rendering.recorder import MARK
from slipway.rendering.render import Rendered, render
from tests.support.fake_cluster import FakeCluster
from toolchain import paths

STACK = "models.tiny"
STACK_FILE = "config:\n  slipway:count: 2\n"
SETTLED = {
    "observedGeneration": 1,
    "replicas": 2,
    "updatedReplicas": 2,
    "readyReplicas": 2,
    "availableReplicas": 2,
}
"""Status of the Deployment when its pods are there."""
Object = dict[str, Any]


class Part(pulumi.ComponentResource):
    """A resource that the engine keeps by itself."""

    def __init__(self, name: str) -> None:
        super().__init__("slipway:test:Part", name)
        self.register_outputs({})


def metadata(name: str, *, adopted: bool = False) -> Object:
    labels = {} if adopted else {naming.STACK_LABEL: STACK}
    return {"name": name, "namespace": "models", "labels": {"app": name, **labels}}


def program(timeout: str = "1m", key: str = "hush") -> None:
    """One object of each sort that is compared in its own way."""
    provider = kubernetes.Provider("cluster", kubeconfig='{"given": "as content"}')
    own = pulumi.ResourceOptions(provider=provider)
    Part("part")
    kubernetes.core.v1.ConfigMap(
        "settings", metadata=metadata("settings"), data={"limit": "5"}, opts=own
    )
    kubernetes.core.v1.ConfigMap(
        "theirs",
        metadata=metadata("theirs", adopted=True),
        data={"limit": "7"},
        opts=own,
    )
    kubernetes.core.v1.Secret(
        "keys",
        metadata=metadata("keys"),
        string_data={"key": pulumi.Output.secret(key)},
        opts=own,
    )
    pod = {"spec": {"containers": [{"name": "server", "image": "server:1"}]}}
    kubernetes.apps.v1.Deployment(
        "server",
        metadata=metadata("server"),
        spec={"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": pod},
        opts=pulumi.ResourceOptions(
            provider=provider,
            ignore_changes=["spec.replicas"],
            custom_timeouts=pulumi.CustomTimeouts(create=timeout),
        ),
    )
    pulumi.export("address", "http://server")
    pulumi.export("key", pulumi.Output.secret(key))


@dataclass
class RecordedStack:
    """The stack in a checkout of its own; the state folder is the test's."""

    root: Path
    cluster: FakeCluster = field(default_factory=FakeCluster)

    def __post_init__(self) -> None:
        self.settings.parent.mkdir(parents=True)
        self.settings.write_text(STACK_FILE)
        (self.root / "Pulumi.yaml").write_text((paths.ROOT / "Pulumi.yaml").read_text())
        workspace.folder(STACK).mkdir(parents=True)
        for one in filter(manifests.is_object, self.render().resources):
            self.cluster.add_manifest(manifests.manifest(one))
        for path, version, kind in (
            (self.path("settings"), "v1", "ConfigMap"),
            (self.path("theirs"), "v1", "ConfigMap"),
            (self.path("keys"), "v1", "Secret"),
            (self.path("server"), "apps/v1", "Deployment"),
        ):
            self.cluster.objects[path] |= {"apiVersion": version, "kind": kind}
        for number, manifest in enumerate(self.render().manifests):
            self._create(manifest, number)
        self.resources = self._resources()
        self.write_state()

    @property
    def settings(self) -> Path:
        return stack_files.path(STACK, self.root)

    @property
    def state(self) -> Path:
        found = workspace.state_file(STACK, self.root)
        assert found is not None
        return found

    @property
    def record(self) -> Path:
        return workspace.folder(STACK) / unchanged.FILE

    @property
    def lock(self) -> Path:
        backend = workspace.backend_folder()
        assert backend is not None
        folder = locks.folder(backend, stack_files.project_name(self.root), STACK)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "somebody.json"

    @property
    def recorded(self) -> list[drift.Recorded]:
        """The objects as the state has them."""
        made = [r for r in self.resources if r["type"].startswith("kubernetes:")]
        return [drift.Recorded.of(one) for one in made]

    def path(self, name: str) -> str:
        """The API's path of the object."""
        return next(p for p in self.cluster.objects if p.endswith(f"/{name}"))

    def live(self, name: str) -> Object:
        """The object as the cluster has it."""
        return self.cluster.objects[self.path(name)]

    def written(self, name: str) -> Object:
        """The object, which somebody is about to write."""
        live = self.live(name)
        live["metadata"]["resourceVersion"] = "900"
        return live

    def render(self, **given: str) -> Rendered:
        return render(STACK, config={}, program=lambda: program(**given))

    def keep(self, rendered: Rendered | None = None) -> str:
        return unchanged.keep(STACK, rendered or self.render(), self.root)

    def look(self, rendered: Rendered | None = None) -> Unchanged:
        reach = lambda: self.cluster.api  # noqa: E731
        return unchanged.look(STACK, rendered or self.render(), reach, self.root)

    def write_state(self, **latest: Any) -> None:
        """The backend's file, as the engine leaves it."""
        content = {"resources": self.resources, **latest}
        self.state.parent.mkdir(parents=True, exist_ok=True)
        written = {"version": 3, "checkpoint": {"stack": STACK, "latest": content}}
        self.state.write_text(json.dumps(written))

    def _create(self, manifest: Object, number: int) -> None:
        """What the API server and the controllers make of an object."""
        live = self.live(manifest["metadata"]["name"])
        data = manifest.pop("stringData", None)
        live |= json.loads(json.dumps(manifest))
        live["metadata"] |= {
            "uid": f"uid-{number}",
            "resourceVersion": str(100 + number),
            "generation": 1,
        }
        if data:
            live["data"] = {"key": "aHVzaA=="}
        if manifest["kind"] == "Deployment":
            live["spec"]["progressDeadlineSeconds"] = 600
            live["status"] = dict(SETTLED)

    def _resources(self) -> list[Object]:
        stack: Object = {
            "urn": f"urn:pulumi:{STACK}::slipway::pulumi:pulumi:Stack::slipway-{STACK}",
            "type": "pulumi:pulumi:Stack",
            "outputs": {"address": "http://server", "key": secret("hush")},
        }
        return [stack, *map(self._resource, self.render().resources)]

    def _resource(self, resource: Any) -> Object:
        found: Object = {
            "urn": resource.urn,
            "type": resource.type,
            "custom": resource.custom,
            "inputs": json.loads(json.dumps(resource.inputs)),
            "ignoreChanges": list(resource.ignore_changes),
        }
        if manifests.is_object(resource):
            found["outputs"] = json.loads(json.dumps(self.live(resource.name)))
        if resource.has_secrets:
            found["inputs"]["stringData"] = secret("hush")
            found["outputs"]["data"] = secret("hush")
        return found


def secret(text: str) -> Object:
    """A value as the state has it: encrypted, which here is turned around."""
    sort = "1b47061264138c4ac30d75fd1eb44270"
    return {MARK: sort, "ciphertext": f"v1:{text[::-1]}"}
