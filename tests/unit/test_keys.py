"""`slipway keys`: what it asks of the API server, prints, and does not print."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import httpx
import pytest
from click.testing import CliRunner, Result

from components.serving.models_settings import ModelsSettings
from components.setting_secrets import Encrypted
from slipway import keys, stack_settings
from slipway.cluster.kube_api import KubeApi
from slipway.engine import stack_api

SECRET = "employment-keys"
PATH = f"/api/v1/namespaces/models/secrets/{SECRET}"


class Server:
    """Holds Secrets as an API server does."""

    def __init__(self) -> None:
        self.secrets: dict[str, Any] = {}

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"null")
        if request.method == "GET":
            _, _, wanted = request.url.params["fieldSelector"].partition("=")
            found = [s for name, s in self.secrets.items() if name == wanted]
            return httpx.Response(200, json={"items": found})
        if request.method == "POST":
            self.secrets[body["metadata"]["name"]] = body
            return httpx.Response(201, json=body)
        name = request.url.path.rpartition("/")[2]
        if name not in self.secrets:
            return httpx.Response(404)
        merged = self.secrets[name].setdefault("data", {}) | body["data"]
        self.secrets[name]["data"] = {k: v for k, v in merged.items() if v is not None}
        return httpx.Response(200, json=self.secrets[name])

    def key(self, client: str) -> str:
        return base64.b64decode(self.secrets[SECRET]["data"][client]).decode()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()

    @contextmanager
    def api(_: str) -> Iterator[KubeApi]:
        transport = httpx.MockTransport(found.answer)
        yield KubeApi(httpx.Client(base_url="https://cluster", transport=transport))

    monkeypatch.setattr(stack_api, "of_stack", api)
    return found


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the stack file says."""
    image = f"registry.example.com/employment@sha256:{'0' * 64}"
    model: dict[str, Any] = {"model_image": image, "image": image}
    access = {"api_keys": {"secret": SECRET}}
    employment = {"route": {"prefix": "/employment/v1"}, "access": access}
    content: dict[str, Any] = {
        "models": {
            "employment": model | employment,
            "open": model | {"route": {"prefix": "/open/v1"}},
        }
    }
    monkeypatch.setattr(
        stack_settings,
        "load",
        lambda *_: ModelsSettings.model_validate(content),
    )
    return content


def run(*words: str) -> Result:
    return CliRunner().invoke(keys.command, words)


def test_the_first_client_makes_the_secret(server: Server) -> None:
    done = run("add", "models.lab", "employment", "alice")
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == server.key("alice")
    assert len(server.key("alice")) >= 43
    made = server.secrets[SECRET]
    assert (made["type"], made["metadata"]["namespace"]) == ("Opaque", "models")


def test_the_next_clients_leave_it_as_it_is(server: Server) -> None:
    first = run("add", "models.lab", "employment", "alice").stdout
    second = run("add", "models.lab", "employment", "bob").stdout
    assert first != second
    assert server.key("alice") == first.strip()
    listed = run("list", "models.lab", "employment").output
    assert listed == "alice\nbob\n"


def test_a_new_key_replaces_the_old_one(server: Server) -> None:
    first = run("add", "models.lab", "employment", "alice").stdout
    again = run("add", "models.lab", "employment", "alice")
    assert "new key" in again.stderr
    assert server.key("alice") == again.stdout.strip() != first.strip()


def test_a_revoked_key_is_gone_and_the_others_stay(server: Server) -> None:
    for name in ("alice", "bob"):
        run("add", "models.lab", "employment", name)
    done = run("revoke", "models.lab", "employment", "alice")
    assert done.exit_code == 0
    assert set(server.secrets[SECRET]["data"]) == {"bob"}
    again = run("revoke", "models.lab", "employment", "alice")
    assert again.exit_code == 1
    assert "known: bob" in again.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "models.lab", "income", "alice"), "it has: employment, open"),
        (("add", "models.lab", "open", "alice"), "models.open.access.api_keys"),
        (("add", "models.lab", "employment", "alice smith"), "letters, digits"),
        (("list", "models.lab", "open"), "requires no API key"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(
    server: Server, words: tuple[str, ...], said: str
) -> None:
    done = run(*words)
    assert done.exit_code in (1, 2)
    assert said in done.output
    assert server.secrets == {}


def test_keys_of_the_stack_file_are_changed_there(
    server: Server, settings: dict[str, Any]
) -> None:
    settings["client_keys"] = {SECRET: {"alice": Encrypted()}}
    done = run("add", "models.lab", "employment", "bob")
    assert "client_keys" in done.output
    assert isinstance(done.exception, SystemExit | click.ClickException)
    assert server.secrets == {}
