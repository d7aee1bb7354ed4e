"""A cluster whose pods can be resized in place: an API server and a kubelet."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from components.serving.args.parts import parts
from components.serving.models_settings import ModelsSettings
from slipway.cluster.kube_api import STRATEGIC, KubeApi
from slipway.resize.plan import Change
from tests.support.rendered import reference

Object = dict[str, Any]
NAMESPACE, SERVER = "models", "employment"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SIZES = {
    "requests": {"cpu": "100m", "memory": "128Mi", "ephemeral-storage": "64Mi"},
    "limits": {"cpu": "500m", "memory": "384Mi", "ephemeral-storage": "64Mi"},
}


def pod(name: str) -> Object:
    """A ready replica with a log shipper beside the server."""
    return {
        "metadata": {"name": name, "generation": 1},
        "spec": {
            "containers": [
                {"name": "server", "resources": copy.deepcopy(SIZES)},
                {"name": "log-shipper", "resources": {"requests": {"cpu": "10m"}}},
            ]
        },
        "status": {
            "phase": "Running",
            "qosClass": "Burstable",
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [
                {"name": "server", "resources": copy.deepcopy(SIZES)}
            ],
        },
    }


def deployment(replicas: int) -> Object:
    counts = ("replicas", "updatedReplicas", "availableReplicas", "readyReplicas")
    return {
        "metadata": {"generation": 3},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 3, **dict.fromkeys(counts, replicas)},
    }


def autoscaler(resource: str, kind: str = "Utilization") -> Object:
    """One that scales the server by the use of a resource."""
    target = {"type": kind, "averageUtilization": 70}
    metric = {"container": "server", "name": resource, "target": target}
    return {
        "metadata": {"name": "by-use"},
        "spec": {
            "scaleTargetRef": {"kind": "Deployment", "name": SERVER},
            "metrics": [{"type": "ContainerResource", "containerResource": metric}],
        },
    }


def settings(**model: Any) -> ModelsSettings:
    """A stack with one model of 100 millicores and 128 MiB, limits 500 and 384."""
    resources = {
        "cpu_request_millicores": 100,
        "cpu_limit_millicores": 500,
        "memory_request_mib": 128,
        "memory_limit_mib": 384,
    }
    return stack_settings_of({SERVER: {"resources": resources, **model}})


def stack_settings_of(models: dict[str, Any]) -> ModelsSettings:
    image = reference("employment")
    given = {name: {"model_image": image, **it} for name, it in models.items()}
    for name, it in given.items():
        it.setdefault("image", reference("model-server"))
        it.setdefault("route", {"prefix": f"/{name}/v1"})
    return ModelsSettings.model_validate({"models": given})


def change(**sizes: int) -> Change:
    (part,) = parts(SERVER, settings().models[SERVER])
    return Change(part, sizes)


@dataclass
class ResizableCluster:
    """Pods by name; a kubelet takes a new size up after some looks at the pod."""

    pods: dict[str, Object]
    looks: int = 2
    can_resize: bool = True
    autoscalers: list[Object] = field(default_factory=list)
    deployment: Object | None = None
    deployments: set[str] = field(default_factory=lambda: {SERVER})
    """Names under which it is there."""
    trouble: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """By pod: type, reason and message of the condition that its resize ends in."""
    forbidden: set[str] = field(default_factory=set)
    """Pods of which the API server refuses a resize."""
    unanswered: set[str] = field(default_factory=set)
    """Pods whose first resize is done and not answered."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    patches: list[tuple[str, Object]] = field(default_factory=list)
    unready: set[str] = field(default_factory=set)
    """Pods that are never ready once they were resized."""
    _left: dict[str, int] = field(default_factory=dict)

    @property
    def api(self) -> KubeApi:
        transport = httpx.MockTransport(self.answer)
        return KubeApi(httpx.Client(base_url="https://cluster", transport=transport))

    def size(self, name: str) -> Object:
        """What the pod's server really has."""
        (status,) = self.pods[name]["status"]["containerStatuses"]
        found: Object = status["resources"]
        return found

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append((request.method, path))
        if request.method == "PATCH":
            return self._patch(path, request)
        if path.startswith(f"{PODS}/"):
            return self._pod(path.rpartition("/")[2])
        names = ["pods", "pods/log", *(["pods/resize"] if self.can_resize else [])]
        scaled = "/apis/autoscaling/v2/namespaces/models/horizontalpodautoscalers"
        found: dict[str, Object | None] = {
            "/api/v1": {"resources": [{"name": it, "kind": "Pod"} for it in names]},
            PODS: {"items": list(self.pods.values())},
            scaled: {"items": self.autoscalers},
            **{f"{DEPLOYMENTS}/{name}": self.deployment for name in self.deployments},
        }
        content = found.get(path)
        return httpx.Response(200 if content else 404, json=content or {})

    def _pod(self, name: str) -> httpx.Response:
        found = self.pods.get(name)
        if found is None:
            return httpx.Response(404, json={})
        if name in self._left:
            self._left[name] -= 1
            if self._left[name] <= 0:
                self._take_up(name, found)
        return httpx.Response(200, json=found)

    def _take_up(self, name: str, found: Object) -> None:
        """What the kubelet does at last."""
        conditions = {it["type"]: it for it in found["status"]["conditions"]}
        if name in self.trouble:
            kind, reason, message = self.trouble[name]
            told = {"status": "True", "reason": reason, "message": message}
            conditions[kind] = {"type": kind, **told}
        else:
            conditions.pop("PodResizeInProgress", None)
            sizes = copy.deepcopy(found["spec"]["containers"][0]["resources"])
            found["status"]["containerStatuses"][0]["resources"] = sizes
            if name in self.unready:
                conditions["Ready"] = {"type": "Ready", "status": "False"}
            del self._left[name]
        found["status"]["conditions"] = list(conditions.values())

    def _patch(self, path: str, request: httpx.Request) -> httpx.Response:
        name, _, subresource = path.removeprefix(f"{PODS}/").partition("/")
        assert subresource == "resize", "only the subresource may be patched"
        assert request.headers["content-type"] == STRATEGIC
        content = json.loads(request.content)
        self.patches.append((name, content))
        if name not in self.pods:
            return httpx.Response(404, json={})
        if name in self.forbidden:
            message = "Node didn't have enough resource: cpu"
            return httpx.Response(403, json={"kind": "Status", "message": message})
        (change,) = content["spec"]["containers"]
        found = self.pods[name]
        for container in found["spec"]["containers"]:
            if container["name"] == change["name"]:
                for kind, values in change["resources"].items():
                    container["resources"][kind] |= values
        running = {"type": "PodResizeInProgress", "status": "True"}
        found["status"]["conditions"].append(running)
        self._left[name] = self.looks
        if name in self.unanswered:
            self.unanswered.remove(name)
            raise httpx.ReadTimeout("no answer")
        return httpx.Response(200, json=found)
