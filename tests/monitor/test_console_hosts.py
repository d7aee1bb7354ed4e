"""The names that readers may open the console by, against DNS rebinding."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from model_console import settings
from model_console.headers import HEADERS, SecurityHeaders
from model_console.hosts import KnownHosts
from model_console.settings import SettingsError
from starlette.responses import PlainTextResponse

MONITOR = {"MODEL_CONSOLE_MONITOR_URL": "http://model-monitor:9300"}
APP = SecurityHeaders(
    KnownHosts(PlainTextResponse("figures"), ("console.example.com",))
)


def ask(*hosts: str) -> httpx.Response:
    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(APP)
        async with httpx.AsyncClient(transport=transport) as client:
            request = client.build_request("GET", "http://c/")
            del request.headers["host"]
            request.headers = httpx.Headers(
                [*request.headers.raw, *((b"host", it.encode()) for it in hosts)]
            )
            return await client.send(request)

    return asyncio.run(asked())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:9310",
        "10.0.0.7",
        "[::1]:9310",
        "[2001:db8::1]",
        "localhost:9310",
        "model-console",
        "model-console.models.svc:9310",
        "model-console.models.svc.cluster.local",
        "console.example.com",
        "CONSOLE.example.com.:8080",
    ],
)
def test_addresses_services_and_names_that_were_given_are_known(host: str) -> None:
    assert ask(host).text == "figures"


@pytest.mark.parametrize(
    "host",
    [
        "rebound.attacker.example",
        "rebound.attacker.example:9310",
        "127.0.0.1.attacker.example",
        "console.example.com.attacker.example",
        "other.console.example.com",
        "models.svc.attacker.example",
        ".svc",
        "a b",
        "[::1].attacker.example",
        "127.0.0.1:9310:9310",
        "",
    ],
)
def test_other_names_are_refused(host: str) -> None:
    answer = ask(host)
    assert answer.status_code == 421
    assert "figures" not in answer.text
    assert "monitor.console.hosts" in answer.text
    assert all(answer.headers[name] == value for name, value in HEADERS.items())


def test_no_name_and_two_names_are_refused() -> None:
    assert ask().status_code == 421
    assert ask("localhost", "rebound.attacker.example").status_code == 421


def test_names_are_read_from_the_environment() -> None:
    given = {"MODEL_CONSOLE_NAMES": " Console.example.com, other.example "}
    found = settings.read(MONITOR | given)
    assert found.names == ("console.example.com", "other.example")
    assert settings.read(MONITOR).names == ()


def test_a_url_is_no_name() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(MONITOR | {"MODEL_CONSOLE_NAMES": "https://a.example,b.example"})
    (problem,) = caught.value.problems
    assert problem == (
        "MODEL_CONSOLE_NAMES='https://a.example,b.example': has an entry that is "
        "not a host name: 'https://a.example'; give names without scheme and port"
    )
