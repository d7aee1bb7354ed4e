"""The containers that may have logged about a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from components import naming
from components.platform.gateway import PROXY, PROXY_LABELS
from components.serving.args.model_server_args import ModelServerArgs
from components.serving.models_settings import ModelsSettings
from slipway.cluster.kube_api import KubeApi, Object

PODS = "/api/v1/namespaces/{namespace}/pods"


@dataclass(frozen=True)
class Place:
    """One container of one pod."""

    source: str
    """gateway, server or waker."""
    namespace: str
    pod: str
    container: str
    has_previous: bool
    """Whether it was restarted: the log of the previous run exists too."""

    @property
    def path(self) -> str:
        """Return the API path of its log."""
        return f"{PODS.format(namespace=self.namespace)}/{self.pod}/log"


def servers(settings: ModelsSettings, model: str) -> dict[str, ModelServerArgs]:
    """The model servers of this name, or that serve the model of this name."""
    return {
        name: args
        for name, args in settings.models.items()
        if model in (name, args.served(name))
    }


def of_model(
    api: KubeApi, settings: ModelsSettings, wanted: Mapping[str, ModelServerArgs]
) -> Iterator[Place]:
    """Containers of the servers' pods, of all revisions, and of who wakes them."""
    namespace = settings.platform.namespace
    chosen = ",".join(sorted(wanted))
    labels = f"{_name(naming.MODEL_SERVER)},app.kubernetes.io/instance in ({chosen})"
    yield from _places(api, "server", namespace, labels)
    if any(args.scaling.idle for args in wanted.values()):
        yield from _places(api, "waker", namespace, _name(naming.WAKER))


def of_gateway(api: KubeApi, settings: ModelsSettings) -> Iterator[Place]:
    """The proxies' containers that write the access log."""
    labels = ",".join(f"{key}={value}" for key, value in PROXY_LABELS.items())
    for place in _places(api, "gateway", settings.platform.gateway_namespace, labels):
        if place.container == PROXY:
            yield place


def _name(program: str) -> str:
    return f"app.kubernetes.io/name={program}"


def _places(
    api: KubeApi, source: str, namespace: str, selector: str
) -> Iterator[Place]:
    path = f"{PODS.format(namespace=namespace)}?labelSelector={quote(selector)}"
    for pod in api.items(path):
        name = pod["metadata"]["name"]
        for container, restarts in _containers(pod).items():
            yield Place(source, namespace, name, container, restarts > 0)


def _containers(pod: Object) -> dict[str, int]:
    """Containers that have begun, and sidecars, with the number of their restarts."""
    spec, status = pod["spec"], pod.get("status", {})
    wanted = [it["name"] for it in spec["containers"]] + [
        it["name"]
        for it in spec.get("initContainers") or ()
        if it.get("restartPolicy") == "Always"
    ]
    begun = {
        it["name"]: it.get("restartCount", 0)
        for kind in ("containerStatuses", "initContainerStatuses")
        for it in status.get(kind) or ()
        if "waiting" not in it.get("state", {}) or it.get("restartCount")
    }
    return {name: begun[name] for name in wanted if name in begun}
