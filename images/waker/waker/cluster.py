"""The models as the API server knows them, and the few things done to them there."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from waker.settings import Model, Pod

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REQUEST_SECONDS = 5.0
MANAGER = "waker.slipway.dev"
_CONTROLLER = "endpointslice-controller.k8s.io"
_MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
_SERVICE = "kubernetes.io/service-name"

Object = dict[str, Any]


class ClusterError(Exception):
    """The API server refused or could not be asked."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Found:
    """A model as the API shows it."""

    replicas: int | None = None
    """Replicas that its Deployment asks for; None: there is no Deployment."""
    addresses: set[str] = field(default_factory=set)
    """Addresses of its ready pods."""
    covered: bool = False
    """Whether this waker's endpoint is among the Service's."""


class Cluster:
    """The API server, by the pod's own token."""

    def __init__(self, base: str, pod: Pod, account: Path = ACCOUNT) -> None:
        """base: https://host:port, with the account's CA; or http:// for tests."""
        self._pod, self._account = pod, account
        verify: ssl.SSLContext | bool = False
        if base.startswith("https:"):
            verify = ssl.create_default_context(cafile=str(account / "ca.crt"))
        self._client = httpx.AsyncClient(
            base_url=base, verify=verify, timeout=REQUEST_SECONDS, trust_env=False
        )
        self._deployments = f"/apis/apps/v1/namespaces/{pod.namespace}/deployments"
        self._slices = (
            f"/apis/discovery.k8s.io/v1/namespaces/{pod.namespace}/endpointslices"
        )

    async def close(self) -> None:
        await self._client.aclose()

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
        """Whether a Deployment is gone or going; False where that is not known."""
        try:
            found = await self._send("GET", f"{self._deployments}/{deployment}")
        except ClusterError as error:
            return error.status == HTTPStatus.NOT_FOUND
        return "deletionTimestamp" in found.json()["metadata"]

    async def scale(self, name: str, replicas: int) -> None:
        """Sets how many replicas the Deployment asks for."""
        await self._ask(
            "PATCH",
            f"{self._deployments}/{name}/scale",
            {"spec": {"replicas": replicas}},
        )

    async def cover(self, model: Model) -> None:
        """Adds this waker to the model's endpoints; again: the same."""
        wanted = self._cover(model)
        name = wanted["metadata"]["name"]
        status = await self._ask("PATCH", f"{self._slices}/{name}", wanted)
        if status == HTTPStatus.NOT_FOUND:
            await self._ask("POST", self._slices, wanted)

    async def uncover(self, name: str) -> None:
        """Takes this waker out of the model's endpoints, if it is there."""
        await self._ask("DELETE", f"{self._slices}/{self._slice(name)}")

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
        items: list[Object] = (await self._send("GET", path)).json()["items"]
        return items

    async def _ask(self, method: str, path: str, body: Object | None = None) -> int:
        """The status, which may say that there is no such thing."""
        return (await self._send(method, path, body)).status_code

    async def _send(
        self, method: str, path: str, body: Object | None = None
    ) -> httpx.Response:
        # Read each time: the kubelet renews it within the hour.
        token = (self._account / "token").read_text().strip()
        headers = {"authorization": f"Bearer {token}", "user-agent": "slipway-waker"}
        if method == "PATCH":
            headers["content-type"] = "application/merge-patch+json"
        try:
            answer = await self._client.request(
                method, path, json=body, headers=headers
            )
        except httpx.HTTPError as error:
            raise ClusterError(f"{method} {path}: {error!r}") from error
        missing = answer.status_code == HTTPStatus.NOT_FOUND
        if answer.is_error and not (missing and method in {"PATCH", "DELETE"}):
            said = f"{answer.status_code} {answer.text[:300]}"
            raise ClusterError(f"{method} {path}: {said}", answer.status_code)
        return answer


def _ready(endpoint_slice: Object) -> set[str]:
    """Addresses that requests may be sent to; no condition means yes."""
    return {
        address
        for endpoint in endpoint_slice.get("endpoints") or ()
        if endpoint.get("conditions", {}).get("ready", True)
        for address in endpoint["addresses"]
    }
