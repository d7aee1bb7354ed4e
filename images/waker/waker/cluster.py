"""The models' objects in the API server, and the changes to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from pod_parts.api_client_async import AsyncApi
from pod_parts.api_server import ApiError, Object
from waker.settings import Model, Pod

MANAGER = "waker.slipway.dev"
_CONTROLLER = "endpointslice-controller.k8s.io"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_SERVICE = "kubernetes.io/service-name"


@dataclass
class Found:
    """A model as the API shows it."""

    replicas: int | None = None
    """Replicas that its Deployment asks for; None: there is no Deployment."""
    addresses: set[str] = field(default_factory=set)
    """Addresses of its ready pods."""
    covered: bool = False
    """Whether this waker's endpoint is in the Service."""


class Cluster:
    """The API server's objects in the models' namespace."""

    def __init__(self, api: AsyncApi, pod: Pod) -> None:
        self._api, self._pod = api, pod
        self._deployments = f"/apis/apps/v1/namespaces/{pod.namespace}/deployments"
        self._slices = (
            f"/apis/discovery.k8s.io/v1/namespaces/{pod.namespace}/endpointslices"
        )

    async def close(self) -> None:
        await self._api.close()

    async def look(self, names: Iterable[str]) -> tuple[dict[str, Found], set[str]]:
        """What is to be seen of these models now, and who else is left asleep.

        Left asleep are those that some waker covers and this one does not know.
        """
        found = {name: Found() for name in names}
        sleeping: set[str] = set()
        for one in await self._list(self._deployments):
            name, replicas = one["metadata"]["name"], int(one["spec"]["replicas"])
            if model := found.get(name):
                model.replicas = replicas
            elif not replicas:
                sleeping.add(name)
        orphans: set[str] = set()
        for one in await self._list(self._slices):
            labels = one["metadata"].get("labels", {})
            service, manager = labels.get(_SERVICE, ""), labels.get(_MANAGED_BY)
            model = found.get(service)
            if model is None:
                orphans |= {service} & sleeping if manager == MANAGER else set()
            elif manager == _CONTROLLER:
                model.addresses |= _ready(one)
            elif one["metadata"]["name"] == self._slice(service):
                model.covered = self._pod.address in _ready(one)
        return found, orphans

    async def is_gone(self, deployment: str) -> bool:
        """Return whether a Deployment is deleted or being deleted; False if unknown."""
        try:
            found = await self._api.get(f"{self._deployments}/{deployment}")
        except ApiError as error:
            return error.status == HTTPStatus.NOT_FOUND
        return "deletionTimestamp" in found["metadata"]

    async def scale(self, name: str, replicas: int) -> None:
        """Sets how many replicas the Deployment asks for, if there is one."""
        await self._change(
            "PATCH",
            f"{self._deployments}/{name}/scale",
            {"spec": {"replicas": replicas}},
        )

    async def cover(self, model: Model) -> None:
        """Adds this waker to the model's endpoints; again: the same."""
        wanted = self._cover(model)
        name = wanted["metadata"]["name"]
        if not await self._change("PATCH", f"{self._slices}/{name}", wanted):
            await self._api.ask("POST", self._slices, wanted)

    async def uncover(self, name: str) -> None:
        """Takes this waker out of the model's endpoints, if it is there."""
        await self._change("DELETE", f"{self._slices}/{self._slice(name)}")

    def _slice(self, name: str) -> str:
        """Each waker has its own, so that several cover a model together."""
        return f"{name}-{self._pod.name}"

    def _cover(self, model: Model) -> Object:
        pod = {"kind": "Pod", "name": self._pod.name, "uid": self._pod.uid}
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": self._slice(model.name),
                "namespace": self._pod.namespace,
                "labels": {_SERVICE: model.name, _MANAGED_BY: MANAGER},
                # Whatever ends this pod ends its cover.
                "ownerReferences": [{"apiVersion": "v1", **pod}],
            },
            "addressType": "IPv6" if ":" in self._pod.address else "IPv4",
            "ports": [{"name": model.port_name, "port": model.port, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": [self._pod.address],
                    "conditions": {
                        "ready": True,
                        "serving": True,
                        "terminating": False,
                    },
                    "nodeName": self._pod.node,
                    "targetRef": {**pod, "namespace": self._pod.namespace},
                }
            ],
        }

    async def _list(self, path: str) -> list[Object]:
        items: list[Object] = (await self._api.get(path))["items"]
        return items

    async def _change(self, method: str, path: str, body: Object | None = None) -> bool:
        """Return whether the object exists; ApiError for any other rejection."""
        try:
            await self._api.ask(method, path, body)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True


def _ready(endpoint_slice: Object) -> set[str]:
    """Addresses that requests may be sent to; no condition means yes."""
    return {
        address
        for endpoint in endpoint_slice.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready", True)
        for address in endpoint["addresses"]
    }
