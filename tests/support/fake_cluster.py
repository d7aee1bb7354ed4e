"""A cluster's API that remembers what was deleted, and controllers that react to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx

from slipway.cluster.kube_api import KubeApi

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
        self.kinds: dict[str, list[Object]] = {}
        """What discovery says, by the path of a group's version."""
        self.forbidden: set[str] = set()
        """Paths that the caller may not read."""

    def add(self, path: str, **content: Any) -> None:
        parts = path.split("/")
        meta: Object = {"name": parts[-1]}
        if "namespaces" in parts[:-2]:
            meta["namespace"] = parts[parts.index("namespaces") + 1]
        meta |= content.pop("metadata", {})
        annotations = content.pop("annotations", {})
        self.objects[path] = {
            "metadata": {**meta, "annotations": annotations},
            "spec": content,
        }

    def add_manifest(self, manifest: Object, **metadata: Any) -> None:
        """An object and its kind; `metadata` beside its name and namespace."""
        version, kind = manifest["apiVersion"], manifest["kind"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        plural = re.sub("y$", "ie", re.sub("(ss|[^s]x)$", r"\1e", kind.lower())) + "s"
        namespace = manifest["metadata"].get("namespace")
        served = {"name": plural, "kind": kind, "namespaced": bool(namespace)}
        known = self.kinds.setdefault(root, [])
        known += [served] if served not in known else []
        where = f"/namespaces/{namespace}" if namespace else ""
        name = manifest["metadata"]["name"]
        self.add(f"{root}{where}/{plural}/{name}", metadata=metadata)

    @property
    def api(self) -> KubeApi:
        transport = httpx.MockTransport(self.answer)
        return KubeApi(httpx.Client(base_url="https://cluster", transport=transport))

    def deleted(self) -> list[str]:
        return [path for verb, path in self.calls if verb == "DELETE"]

    def answer(self, request: httpx.Request) -> httpx.Response:
        """As the API server would."""
        path = request.url.path
        self.calls.append((request.method, path))
        if request.method == "DELETE":
            return self._delete(path)
        if request.method == "PATCH" or path == "/version":
            return httpx.Response(200, json={})
        if path in self.forbidden:
            text = f'cannot get resource at "{path}"'
            return httpx.Response(403, json={"kind": "Status", "message": text})
        if len(below := _below_version(path)) != 1:
            found_one = self.objects.get(path) if below else self._served(path)
            return _answer(request, found_one)
        kind = path.rpartition("/")[2]
        found = {p: o for p, o in self.objects.items() if p.split("/")[-2] == kind}
        if selector := request.url.params.get("labelSelector"):
            label = tuple(selector.split("="))
            found = {p: o for p, o in found.items() if label in _labels(o)}
        for one in [
            p for p, o in found.items() if "deletionTimestamp" in o["metadata"]
        ]:
            self.slow[one] -= 1
            if self.slow[one] < 0:
                del self.objects[one], found[one]
        if not found and path.startswith("/apis/"):
            return httpx.Response(404, json={"kind": "Status"})
        shown = [_shown(request, one) for one in found.values()]
        return httpx.Response(200, json={"items": shown})

    def _served(self, path: str) -> Object | None:
        return {"resources": self.kinds[path]} if path in self.kinds else None

    def _delete(self, path: str) -> httpx.Response:
        if path not in self.objects:
            return httpx.Response(404, json={})
        if self.slow.get(path, 0):
            self.objects[path]["metadata"]["deletionTimestamp"] = "now"
        else:
            del self.objects[path]
        self.on_delete(path)
        return httpx.Response(200, json={})


def _below_version(path: str) -> list[str]:
    """Of an API path: kind, and name if it is one object's."""
    parts = path.strip("/").split("/")
    parts = parts[2 if parts[0] == "api" else 3 :]
    return parts[2:] if parts[:1] == ["namespaces"] and len(parts) > 2 else parts


def _labels(found: Object) -> list[tuple[str, str]]:
    return list((found["metadata"].get("labels") or {}).items())


def _answer(request: httpx.Request, found: Object | None) -> httpx.Response:
    if found is None:
        return httpx.Response(404, json={"kind": "Status"})
    return httpx.Response(200, json=_shown(request, found))


def _shown(request: httpx.Request, found: Object) -> Object:
    """All of an object, or its metadata if no more is requested."""
    partial = "PartialObjectMetadata" in request.headers["accept"]
    return {"metadata": found["metadata"]} if partial else found


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now, self.said = 0.0, list[str]()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
