"""The console and sources that fail, lie or send markup: a notice, never a fault."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from model_console import pages, server
from model_console.settings import Settings
from prometheus_client import CollectorRegistry
from rollout.status import OrderKind
from starlette.types import ASGIApp

from tests.support import consoles, shown_rollouts, watched_models, web_pages
from tests.support.web_pages import words

PATHS = ["/", "/models/loans", "/alerts", "/audit", "/rollouts", "/rollouts/m"]
ROLLOUTS = "http://rollouts"
MARKUP = "\"'></td><script>alert(1)</script><img src=x onerror=alert(1)>&\x00\ud800"
ROUNDS = 40
Handler = Callable[[httpx.Request], Any]


@dataclass
class Sources:
    """Answers by path, as monitor, Alertmanager and rollout controller give them."""

    answers: dict[str, Any]
    handlers: dict[str, Handler] = field(default_factory=dict)
    """What a host answers instead."""

    async def handle(self, request: httpx.Request) -> httpx.Response:
        if handler := self.handlers.get(request.url.host):
            response = handler(request)
            found = await response if asyncio.iscoroutine(response) else response
            assert isinstance(found, httpx.Response)
            return found
        found = self.answers[request.url.path]
        return httpx.Response(200, content=json.dumps(found))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the real monitor and the real rollout controller answer, by path, and alerts
    in Alertmanager's form."""
    folder = tmp_path_factory.mktemp("faults")
    config = watched_models.fill(folder)
    with watched_models.monitor(folder, config) as ports:
        url = f"http://127.0.0.1:{ports['port']}"
        with httpx.Client(base_url=url, trust_env=False) as client:
            paths = ("/api/v1/models", "/api/v1/models/loans", "/api/v1/audit")
            found = {path: client.get(path).json() for path in paths}
    alert = consoles.alert(
        "ModelDown", "critical", "loans", summary="s", description="d", runbook_url="r"
    )
    status = {"state": "active", "silencedBy": [], "inhibitedBy": []}
    alert |= {"startsAt": "2026-11-29T08:00:00Z", "status": status}
    with shown_rollouts.controller() as controller:
        controller.look(0)
        controller.order(OrderKind.PAUSE, "p")
        controller.look(1000)
        controller.order(OrderKind.RESUME, "r")
        controller.look(2000)
        controller.look(3000)
        controller.order(OrderKind.PAUSE, "q")
        found |= controller.answers
    return {**found, "/api/v2/alerts": [alert]}


@pytest.fixture
def sources(real: dict[str, Any]) -> Sources:
    return Sources(copy.deepcopy(real))


@dataclass
class Client:
    """Asks a console, whose faults are answers, as in a process."""

    app: ASGIApp

    def get(self, path: str) -> httpx.Response:
        return asyncio.run(self._get(path))

    async def _get(self, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://c"
        ) as client:
            return await client.get(path)


def client_of(sources: Sources, **changes: Any) -> Client:
    """A console that asks these sources."""
    settings = Settings(
        monitor_url="http://monitor",
        alertmanager_url="http://alertmanager",
        rollouts_url="",
        timeout_seconds=0.2,
        answer_mib=1,
        host="127.0.0.1",
        names=(),
        port=0,
        metrics_port=0,
    )
    registry = CollectorRegistry()
    transport = httpx.MockTransport(sources.handle)
    asked = server.sources_of(
        Settings(**{**vars(settings), **changes}), registry, transport
    )
    return Client(server.application(asked, registry))


@pytest.fixture
def client(sources: Sources) -> Client:
    return client_of(sources, rollouts_url=ROLLOUTS)


def refuse(_: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


async def hang(_: httpx.Request) -> httpx.Response:
    await asyncio.sleep(60)
    raise AssertionError


def drip(_: httpx.Request) -> httpx.Response:
    async def content() -> Any:
        while True:
            await asyncio.sleep(0.05)
            yield b" "

    return httpx.Response(200, content=content())


FAULTS: dict[str, tuple[Handler, str]] = {
    "refused": (refuse, "cannot be reached"),
    "silent": (hang, "has not answered within 0.2 s"),
    "a byte now and then": (drip, "has not answered within 0.2 s"),
    "a fault": (lambda _: httpx.Response(500), "answers with status 500"),
    "a redirect": (
        lambda _: httpx.Response(302, headers={"location": "http://other/"}),
        "answers with status 302",
    ),
    "no JSON": (
        lambda _: httpx.Response(200, content=b"<p>hello</p>"),
        "answers with something that is not JSON",
    ),
    "deep JSON": (
        lambda _: httpx.Response(200, content=b"[" * 100_000),
        "answers with something that is not JSON",
    ),
    "other JSON": (
        lambda _: httpx.Response(200, json={"a": 1}),
        "answers in a form that this console does not know",
    ),
    "too much": (
        lambda _: httpx.Response(200, content=b" " * (2 << 20)),
        "answers with more than 1 MiB",
    ),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("host", ["monitor", "alertmanager", "rollouts"])
def test_a_part_that_fails_is_a_notice_beside_the_rest(
    client: Client, sources: Sources, host: str, fault: str, path: str
) -> None:
    handler, reason = FAULTS[fault]
    sources.handlers[host] = handler
    answer = client.get(path)
    assert answer.status_code == 200
    assert web_pages.problems(answer.text) == []
    text = words(web_pages.parsed(answer.text))
    asked = {"/alerts": ["alertmanager"], "/audit": ["monitor"]}
    asked |= {"/rollouts": ["rollouts"], "/rollouts/m": ["rollouts"]}
    asked |= {"/models/loans": ["monitor", "alertmanager", "rollouts"]}
    concerned = host in asked.get(path, ["monitor", "alertmanager"])
    name = {
        "monitor": "The model monitor",
        "alertmanager": "Alertmanager",
        "rollouts": "The rollout controller",
    }[host]
    assert (f"{name} {reason}" in text) == concerned
    if host == "alertmanager" and path == "/models/loans":
        assert "below baseline" in text
        assert "Not known: Alertmanager does not answer." in text
    if host == "monitor" and path == "/models/loans":
        assert "ModelDown" in text


def test_few_pages_are_made_at_once(sources: Sources) -> None:
    now, most = 0, 0

    async def count(_: httpx.Request) -> httpx.Response:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.02)
        now -= 1
        return httpx.Response(200, content=b"[]")

    async def run() -> None:
        sources.handlers["alertmanager"] = count
        transport = httpx.ASGITransport(client_of(sources).app)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as one:
            answers = await asyncio.gather(*[one.get("/alerts") for _ in range(20)])
        assert [it.status_code for it in answers] == [200] * 20

    asyncio.run(run())
    assert most == pages.AT_ONCE


def test_without_alertmanager_no_alert_is_asked_for(sources: Sources) -> None:
    sources.handlers["alertmanager"] = refuse
    client = client_of(sources, alertmanager_url="", rollouts_url=ROLLOUTS)
    for path in PATHS:
        answer = client.get(path)
        assert answer.status_code == 200
        assert web_pages.problems(answer.text) == []
        assert "cannot be reached" not in answer.text
    assert "No Alertmanager was given" in client.get("/alerts").text


def test_an_unknown_model_is_not_found(client: Client, sources: Sources) -> None:
    sources.handlers["monitor"] = lambda _: httpx.Response(404, json={})
    answer = client.get("/models/loans")
    assert answer.status_code == 404
    assert "There is no model" in answer.text
    assert client.get("/").status_code == 200


def test_a_fault_of_the_console_is_a_page_with_headers(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_console.verdicts.of_model", lambda _: 1 / 0)
    answer = client.get("/")
    assert answer.status_code == 500
    assert web_pages.problems(answer.text) == []
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "ZeroDivisionError" not in answer.text


def planted(value: Any) -> Any:
    """The same with markup in every text and in every name of a map."""
    if isinstance(value, dict):
        return {key: planted(it) for key, it in value.items()} | {
            f"{MARKUP}{key}": planted(it) for key, it in value.items()
        }
    if isinstance(value, list):
        return [planted(it) for it in value]
    return MARKUP + value if isinstance(value, str) else value


@pytest.mark.parametrize("path", PATHS)
def test_no_text_becomes_markup(sources: Sources, path: str) -> None:
    sources.answers = {key: planted(it) for key, it in sources.answers.items()}
    (alert,) = sources.answers["/api/v2/alerts"]
    alert["annotations"]["runbook_url"] = "javascript:alert(1)"
    alert["labels"]["model"] = '../"onclick=x'
    answer = client_of(sources, answer_mib=8, rollouts_url=ROLLOUTS).get(path)
    assert answer.status_code == 200
    assert web_pages.problems(answer.text) == []
    assert "form that this console does not know" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    for never in ("<script", "<img", 'href="javascript', "\x00"):
        assert never not in answer.text


@pytest.mark.parametrize(
    "path",
    ["/models/{}", "/models/loans?revision={}", "/models/loans?feature={}", "/{}"],
)
def test_no_address_becomes_markup(client: Client, sources: Sources, path: str) -> None:
    sources.handlers["monitor"] = lambda request: (
        httpx.Response(200, json=sources.answers["/api/v1/models/loans"])
        if request.url.path.endswith("/loans")
        else httpx.Response(404)
    )
    word = "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E%00%FF"
    if path.startswith("/models/{"):
        word = word.replace("%2F", "")
    answer = client.get(path.format(word))
    assert answer.status_code == 404
    assert web_pages.problems(answer.text) == []
    assert "<script" not in answer.text


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, it in pairs:
            yield from places(it, (*path, key))


ODD = (
    *(None, True, -1, 0, 1e308, -1e308, 1e-320, 10**400, 2**60, "", "x", [], {}),
    *([1], {"a": None}, "\ud800", "9999-99-99", float("inf"), float("nan")),
    "0001-01-01T00:00:00+23:59",
)


def spoilt(answers: dict[str, Any], choice: random.Random) -> dict[str, Any]:
    """The answers with one to three values that are left out, or odd."""
    found = copy.deepcopy(answers)
    for _ in range(choice.randint(1, 3)):
        *path, last = choice.choice(list(places(found[choice.choice(list(found))])))
        for target in found.values():
            holder = target
            try:
                for key in path:
                    holder = holder[key]
                holder[last]
            except (KeyError, IndexError, TypeError):
                continue
            if isinstance(holder, dict) and choice.random() < 0.2:
                del holder[last]
            else:
                holder[last] = choice.choice(ODD)
            break
    return found


def test_whatever_is_answered_there_is_a_page(
    client: Client, sources: Sources, real: dict[str, Any], tmp_path: Path
) -> None:
    choice = random.Random(20261129)
    wholes = 0
    for number in range(ROUNDS):
        sources.answers = spoilt(real, choice)
        for path in (*PATHS, "/models/loans?revision=r1"):
            answer = client.get(path)
            if answer.status_code not in {200, 404}:
                (tmp_path / "answers.json").write_text(json.dumps(sources.answers))
            assert answer.status_code in {200, 404}, (number, path, tmp_path)
            assert web_pages.problems(answer.text) == [], (number, path)
            wholes += 'class="notice bad"' not in answer.text
    # Neither is everything refused, nor does everything pass.
    assert 0.3 < wholes / ((len(PATHS) + 1) * ROUNDS) < 0.95
