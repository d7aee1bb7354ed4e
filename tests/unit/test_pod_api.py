"""What pods' programs send to the API server, and what they make of its answers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pod_parts.api_client import Api
from pod_parts.api_client_async import AsyncApi
from pod_parts.api_server import ApiError, ExpiredError

Lines = list[dict[str, Any]]
Ask = Callable[..., Any]


@dataclass
class Server:
    """Answers with these (status, lines), one after the other."""

    port: int
    answers: list[tuple[int, Lines]] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("content-length", "0"))
            body = json.loads(self.rfile.read(length)) if length else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append((self.command, self.path, headers, body))
            status, lines = found.answers.pop(0)
            self.send_response(status)
            self.end_headers()
            for line in lines:
                self.wfile.write(json.dumps(line).encode() + b"\n")

        do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Server(serving.server_port)
    thread = threading.Thread(target=serving.serve_forever, args=(0.01,))
    thread.start()
    yield found
    serving.shutdown()
    thread.join()
    serving.server_close()


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("one\n")
    return tmp_path


@pytest.fixture
def api(server: Server, account: Path) -> Api:
    return Api("127.0.0.1", server.port, "slipway-test", account=account)


@pytest.fixture(params=["threads", "loop"])
def ask(request: pytest.FixtureRequest, server: Server, account: Path) -> Ask:
    """One request by either client."""
    if request.param == "threads":
        return Api("127.0.0.1", server.port, "slipway-test", account=account).ask

    def ask(*arguments: Any) -> Any:
        async def run() -> Any:
            url = f"http://127.0.0.1:{server.port}"
            client = AsyncApi(url, "slipway-test", account)
            try:
                return await client.ask(*arguments)
            finally:
                await client.close()

        return asyncio.run(run())

    return ask


def test_each_request_has_the_token_as_it_is_now(
    server: Server, ask: Ask, account: Path
) -> None:
    server.answers = [(200, [{"a": 1}])] * 2
    assert ask("GET", "/x") == {"a": 1}
    (account / "token").write_text("two\n")
    ask("GET", "/x")
    headers = [headers for _, _, headers, _ in server.asked]
    assert [it["authorization"] for it in headers] == ["Bearer one", "Bearer two"]
    assert {it["user-agent"] for it in headers} == {"slipway-test"}
    assert {it["accept"] for it in headers} == {"application/json"}


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("POST", "application/json"),
        ("PUT", "application/json"),
        ("PATCH", "application/merge-patch+json"),
    ],
)
def test_a_body_says_what_it_is(
    server: Server, ask: Ask, method: str, kind: str
) -> None:
    server.answers = [(201, [{}])]
    ask(method, "/x", {"spec": {"replicas": 0}})
    ((sent, path, headers, body),) = server.asked
    assert (sent, path, body) == (method, "/x", {"spec": {"replicas": 0}})
    assert headers["content-type"] == kind


@pytest.mark.parametrize("status", [302, 403, 404, 409, 410, 500])
def test_a_refusal_has_its_status_and_what_was_asked(
    server: Server, ask: Ask, status: int
) -> None:
    server.answers = [(status, [{"message": "no"}])]
    with pytest.raises(
        ApiError, match=f'^DELETE /x: {status} {{"message": "no"}}'
    ) as it:
        ask("DELETE", "/x")
    assert it.value.status == status
    assert isinstance(it.value, ExpiredError) == (status == 410)


def test_what_is_no_answer_has_no_status(
    server: Server, ask: Ask, account: Path
) -> None:
    server.answers = [(200, [])]
    with pytest.raises(ApiError) as empty:
        ask("GET", "/x")
    (account / "token").unlink()
    with pytest.raises(ApiError, match="token") as unread:
        ask("GET", "/x")
    assert empty.value.status == unread.value.status == 0
    assert len(server.asked) == 1


def test_nobody_there_is_an_error_like_others(account: Path) -> None:
    with pytest.raises(ApiError) as caught:
        Api("127.0.0.1", 1, "slipway-test", account=account).get("/x")
    assert caught.value.status == 0


def listed(*items: dict[str, Any], more: str = "") -> tuple[int, Lines]:
    metadata = {"resourceVersion": "7", "continue": more}
    return 200, [{"items": list(items), "metadata": metadata}]


def test_a_list_is_read_page_by_page(server: Server, api: Api) -> None:
    server.answers = [listed({"a": 1}, more="next"), listed({"b": 2})]
    assert api.list("/x") == ([{"a": 1}, {"b": 2}], "7")
    assert "continue=next" in server.asked[1][1]


def test_a_watch_goes_on_from_a_version(server: Server, api: Api) -> None:
    added = {"type": "ADDED", "object": {"a": 1}}
    server.answers = [(200, [added, added])]
    assert list(api.watch("/x", "9")) == [("ADDED", {"a": 1})] * 2
    assert "watch=true" in server.asked[0][1]
    assert "resourceVersion=9" in server.asked[0][1]


def test_labels_select_what_is_listed_and_watched(server: Server, api: Api) -> None:
    added = {"type": "ADDED", "object": {"a": 1}}
    server.answers = [listed({"a": 1}), (200, [added])]
    api.list("/x", "slipway.dev/rules=true")
    list(api.watch("/x", "9", "slipway.dev/rules=true"))
    for _, path, *_ in server.asked:
        assert "labelSelector=slipway.dev%2Frules%3Dtrue" in path


def test_a_watch_that_is_too_old_is_distinguished_from_a_failure(
    server: Server, api: Api
) -> None:
    gone = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
    other = {"type": "ERROR", "object": {"code": 500, "message": "no"}}
    server.answers = [(200, [gone]), (410, []), (200, [other])]
    for _ in range(2):
        with pytest.raises(ExpiredError):
            list(api.watch("/x", "1"))
    with pytest.raises(ApiError) as caught:
        list(api.watch("/x", "1"))
    assert not isinstance(caught.value, ExpiredError)


def test_the_server_is_found_as_in_every_pod(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pod_parts import api_server

    found = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}
    made = api_server.ssl.create_default_context()
    monkeypatch.setattr(api_server, "context", lambda *_: made)
    api = Api.of_cluster(found, "slipway-test")
    assert (api.host, api.port, api.context) == ("fd00::1", 443, made)
    assert api.account == api_server.ACCOUNT
    base = AsyncApi.of_cluster(found, "slipway-test")._client.base_url
    assert (base.scheme, base.host, base.port) == ("https", "fd00::1", None)


def test_another_server_gets_no_token(server: Server) -> None:
    server.answers = [(200, [{}])]
    Api.of_url(f"http://127.0.0.1:{server.port}/", "slipway-test").get("/x")
    assert "authorization" not in server.asked[0][2]
    with pytest.raises(ValueError, match="give such an address"):
        Api.of_url("https://prometheus/", "slipway-test")
