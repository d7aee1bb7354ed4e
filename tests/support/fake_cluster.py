"""A cluster's API that remembers what was deleted, and controllers that react to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from slipway.kube_api import KubeApi

Object = dict[str, Any]


class FakeCluster:
    """Objects by their API path; deletion ends after `slow` further looks at them."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.calls: list[tuple[str, str]] = []
        self.slow: dict[str, int] = {}
        """How many listings an object outlives its deletion, by path; others go at
        once."""
        self.on_delete: Callable[[str], None] = lambda _: None

    def add(self, path: str, **content: Any) -> None:
        parts = path.split("/")
        meta: Object = {"name": parts[-1]}
        if "namespaces" in parts:
            meta["namespace"] = parts[parts.index("namespaces") + 1]
        annotations = content.pop("annotations", {})
        self.objects[path] = {
            "metadata": {**meta, "annotations": annotations},
            "spec": content,
        }

    @property
    def api(self) -> KubeApi:
        transport = httpx.MockTransport(self._answer)
        return KubeApi(httpx.Client(base_url="https://cluster", transport=transport))

    def deleted(self) -> list[str]:
        return [path for verb, path in self.calls if verb == "DELETE"]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.calls.append((request.method, path))
        if request.method == "DELETE":
            return self._delete(path)
        if request.method == "PATCH" or path == "/version":
            return httpx.Response(200, json={})
        kind = path.rpartition("/")[2]
        found = {p: o for p, o in self.objects.items() if p.split("/")[-2] == kind}
        for one in [
            p for p, o in found.items() if "deletionTimestamp" in o["metadata"]
        ]:
            self.slow[one] -= 1
            if self.slow[one] < 0:
                del self.objects[one], found[one]
        if not found and path.startswith("/apis/"):
            return httpx.Response(404, json={"kind": "Status"})
        return httpx.Response(200, json={"items": list(found.values())})

    def _delete(self, path: str) -> httpx.Response:
        if path not in self.objects:
            return httpx.Response(404, json={})
        if self.slow.get(path, 0):
            self.objects[path]["metadata"]["deletionTimestamp"] = "now"
        else:
            del self.objects[path]
        self.on_delete(path)
        return httpx.Response(200, json={})


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now, self.said = 0.0, list[str]()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
