"""What is sent to an API server that is as strict as the real one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from slipway.cluster.kube_api import (
    METADATA,
    METADATA_LIST,
    ForbiddenError,
    KubeApi,
    KubeApiError,
)

OBJECT = "/api/v1/namespaces/models/configmaps/one"
LIST = "/api/v1/namespaces/models/configmaps"
PATCHES = {"application/merge-patch+json", "application/strategic-merge-patch+json"}
POLICIES = {"Background", "Foreground", "Orphan"}


class Server:
    """One list with objects; anything else is an error, as the API server says it."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {OBJECT: {"metadata": {"name": "one"}}}
        self.seen: list[httpx.Request] = []
        self.refuses: httpx.Response | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        if self.refuses:
            return self.refuses
        answers: dict[str, Callable[[httpx.Request], httpx.Response]] = {
            "GET": self.get,
            "PATCH": self.patch,
            "POST": self.post,
            "DELETE": self.delete,
        }
        return answers[request.method](request)

    def get(self, request: httpx.Request) -> httpx.Response:
        path, accept = request.url.path, request.headers["accept"]
        if not accept.startswith("application/json"):
            return status(406, "only the following media types are accepted")
        if path == "/version":
            return httpx.Response(200, json={"major": "1"})
        if path == LIST:
            return httpx.Response(200, json={"items": list(self.objects.values())})
        if path not in self.objects:
            return status(404, "not found")
        partial = "PartialObjectMetadata" in accept
        found = {"kind": "PartialObjectMetadata"} if partial else self.objects[path]
        return httpx.Response(200, json=found)

    def patch(self, request: httpx.Request) -> httpx.Response:
        if request.headers["content-type"] not in PATCHES:
            return status(415, "the body of the request was in an unknown format")
        if request.url.path not in self.objects:
            return status(404, "not found")
        self.objects[request.url.path] |= json.loads(request.content)
        return httpx.Response(200, json={})

    def post(self, request: httpx.Request) -> httpx.Response:
        if request.headers["content-type"] != "application/json":
            return status(415, "the body of the request was in an unknown format")
        if request.url.path != LIST:
            return status(404, "not found")
        made = json.loads(request.content)
        self.objects[f"{LIST}/{made['metadata']['name']}"] = made
        return httpx.Response(201, json=made)

    def delete(self, request: httpx.Request) -> httpx.Response:
        options = json.loads(request.content or b"{}")
        if options.get("propagationPolicy") not in POLICIES:
            # The server would take its default, which orphans for some kinds.
            return status(422, "no propagation policy")
        if self.objects.pop(request.url.path, None) is None:
            return status(404, "not found")
        return httpx.Response(200, json={})


def status(code: int, message: str) -> httpx.Response:
    return httpx.Response(code, json={"kind": "Status", "message": message})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def api(server: Server) -> Iterator[KubeApi]:
    transport = httpx.MockTransport(server)
    with KubeApi(httpx.Client(base_url="https://api", transport=transport)) as found:
        yield found


def test_objects_are_read(api: KubeApi) -> None:
    assert api.get(OBJECT) == {"metadata": {"name": "one"}}
    assert api.get(f"{LIST}/none") is None
    assert api.items(LIST) == [{"metadata": {"name": "one"}}]
    assert api.items("/apis/none/v1/things") == []
    with pytest.raises(KubeApiError, match=f"GET {LIST}/none: 404"):
        api.text(f"{LIST}/none")


def test_only_metadata_is_asked_for(api: KubeApi, server: Server) -> None:
    assert api.metadata(OBJECT) == {"kind": "PartialObjectMetadata"}
    assert server.seen[-1].headers["accept"] == METADATA
    assert api.metadata(f"{LIST}/none") is None


def test_a_list_is_read_without_content(api: KubeApi, server: Server) -> None:
    assert api.listed(f"{LIST}?labelSelector=a%3Db") == [{"metadata": {"name": "one"}}]
    assert server.seen[-1].headers["accept"] == METADATA_LIST
    assert server.seen[-1].url.params["labelSelector"] == "a=b"


def test_a_change_is_merged(api: KubeApi, server: Server) -> None:
    assert api.patch(OBJECT, {"data": {"a": "b"}})
    assert server.objects[OBJECT]["data"] == {"a": "b"}
    assert not api.patch(f"{LIST}/none", {"data": {}})


def test_an_object_is_made(api: KubeApi, server: Server) -> None:
    api.create(LIST, {"metadata": {"name": "two"}})
    assert f"{LIST}/two" in server.objects
    with pytest.raises(KubeApiError, match="the cluster has no such path"):
        api.create("/apis/none/v1/things", {"metadata": {"name": "two"}})


def test_an_object_is_deleted_with_what_it_owns(api: KubeApi, server: Server) -> None:
    api.delete(OBJECT)
    assert server.objects == {}
    assert json.loads(server.seen[-1].content) == {"propagationPolicy": "Background"}
    api.delete(OBJECT, owned_first=True)  # one that is gone is as good
    assert json.loads(server.seen[-1].content) == {"propagationPolicy": "Foreground"}


def test_whether_the_server_answers(api: KubeApi, server: Server) -> None:
    assert api.answers() == ""
    assert str(server.seen[-1].url) == "https://api/version"
    server.refuses = httpx.Response(503, text="etcd is away\n")
    assert api.answers() == "GET /version: 503 etcd is away"


def test_a_refusal_has_the_servers_reason(api: KubeApi, server: Server) -> None:
    server.refuses = status(403, "configmaps is forbidden")
    with pytest.raises(ForbiddenError) as error:
        api.get(OBJECT)
    assert str(error.value) == f"GET {OBJECT}: 403 configmaps is forbidden"
    server.refuses = status(409, "the object has been modified")
    with pytest.raises(KubeApiError) as other:
        api.patch(OBJECT, {"data": {}})
    assert not isinstance(other.value, ForbiddenError)
    assert str(other.value) == f"PATCH {OBJECT}: 409 the object has been modified"


def test_a_server_that_is_not_there() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused")

    client = httpx.Client(base_url="https://api", transport=httpx.MockTransport(refuse))
    with (
        KubeApi(client) as api,
        pytest.raises(KubeApiError, match=r"does not answer \(connection refused\)"),
    ):
        api.get(OBJECT)
    assert client.is_closed


def test_connections_that_another_thread_has_closed(server: Server) -> None:
    """A reader of logs may begin just then; a traceback would be its only word."""
    client = httpx.Client(base_url="https://api", transport=httpx.MockTransport(server))
    with KubeApi(client) as api:
        pass
    with (
        pytest.raises(KubeApiError, match="connections to the API server are closed"),
        api.stream(OBJECT),
    ):
        pass


def test_kinds_of_a_group(api: KubeApi, server: Server) -> None:
    resources = [
        {"name": "pods", "kind": "Pod", "namespaced": True},
        {"name": "pods/log", "kind": "Pod", "namespaced": True},
        {"name": "nodes", "kind": "Node", "namespaced": False},
    ]
    server.objects["/api/v1"] = {"resources": resources}
    assert api.kinds("/api/v1") == {"Pod": ("pods", True), "Node": ("nodes", False)}
    assert api.kinds("/apis/none/v1") == {}
