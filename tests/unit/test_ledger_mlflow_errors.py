"""What `slipway ledger mlflow` says of a server that does not do what was asked."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli import cli
from slipway.ledger import mlflow_server
from slipway.ledger.mlflow_match import DIGEST_TAG
from slipway.ledger.mlflow_server import MlflowError, MlflowServer, credentials
from slipway.ledger.options import default_ledger
from tests.support import ledgers
from tests.support.mlflow_registry import MlflowRegistry, basic

MODEL = ledgers.MODEL
DIGEST = f"sha256:{0:064x}"
USERS = {name: basic(name.lower(), "secret") for name in ("READ", "EDIT", "MANAGE")}


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A ledger whose r1 is serving."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("USERNAME", "PASSWORD", "TOKEN", "URI"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    ledgers.filled(default_ledger())


@pytest.fixture
def registry() -> Iterator[MlflowRegistry]:
    with MlflowRegistry(tags={"1": {DIGEST_TAG: DIGEST}}) as running:
        yield running


def login(monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user.lower())
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")


def export(address: str, *words: str, status: int = 1) -> str:
    given = ("ledger", "mlflow", "export", MODEL, "--server", address, "--yes", *words)
    result = CliRunner().invoke(cli, given)
    assert result.exit_code == status, result.output
    return result.output


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    said = export(address)
    assert said.startswith(f"error: {address}: it cannot be reached (")
    assert said.endswith("); check the address, and that the server runs\n")


def test_a_silent_server(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.is_silent = True
    with (
        MlflowServer(registry.address, timeout=0.2) as server,
        pytest.raises(MlflowError, match=r"get was not answered in 0\.2 s; see"),
    ):
        server.aliases(MODEL)
    assert mlflow_server.TIMEOUT_SECONDS == 10


def test_an_answer_without_an_end(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_server, "ANSWER_BYTES", 64)
    registry.answers["registered-models/get"] = (200, "x" * 100, {})
    assert "has no end after 100 bytes" in export(registry.address)


@pytest.mark.parametrize("users", [[], ["READ", "wrong"]])
def test_401(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch, users: list[str]
) -> None:
    registry.users = USERS
    if users:
        login(monkeypatch, "nobody")
    said = export(registry.address)
    assert said == (
        f"error: {registry.address}: registered-models/get: 401, the credentials are "
        "missing or wrong; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, "
        "or MLFLOW_TRACKING_TOKEN\n"
    )


def test_permissions(registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set by EDIT, deleted by MANAGE alone; what was done before is said."""
    registry.users = USERS
    login(monkeypatch, "READ")
    said = export(registry.address)
    assert "registered-models/alias: 403 (Permission denied); with MLflow's" in said
    assert "setting an alias or a tag EDIT, deleting an alias MANAGE" in said
    assert not registry.aliases
    registry.aliases = {"canary": "1"}
    login(monkeypatch, "EDIT")
    said = export(registry.address)
    assert "\nprod: set to version 1\nerror: " in said
    assert "registered-models/alias: 403 (Permission denied)" in said
    assert registry.aliases == {"canary": "1", "prod": "1"}
    login(monkeypatch, "MANAGE")
    assert export(registry.address, status=0).endswith("canary: deleted\n")
    assert registry.aliases == {"prod": "1"}


def test_an_unknown_host_name_is_no_matter_of_rights(registry: MlflowRegistry) -> None:
    text = "Invalid Host header - possible DNS rebinding attack detected"
    registry.answers["registered-models/get"] = (
        403,
        text,
        {"content-type": "text/plain"},
    )
    said = export(registry.address)
    assert f"403 ({text}); " in said
    assert "--allowed-hosts" in said


def test_an_unknown_model(registry: MlflowRegistry) -> None:
    said = export(registry.address, "--registered-model", "income")
    assert said == (
        f"error: {registry.address}: registered-models/get: 404 "
        "RESOURCE_DOES_NOT_EXIST (Registered Model with name=income not found)\n"
    )


def test_an_alias_of_a_version_that_is_gone(registry: MlflowRegistry) -> None:
    """Seen in MLflow, which has left such aliases behind (mlflow/mlflow#24825)."""
    registry.aliases = {"prod": "7"}
    words = ("ledger", "mlflow", "import", MODEL, "--why", "it is so")
    result = CliRunner().invoke(cli, [*words, "--server", registry.address])
    assert result.exit_code == 1
    assert (
        "404 RESOURCE_DOES_NOT_EXIST (Model Version (name=employment, version=7)"
        in (result.output)
    )
    assert "prod: version 7 (not in the ledger) -> version 1 (r1)" in (
        export(registry.address, status=0)
    )


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (404, "<!doctype html>", {}, "404, there is no such API; give MLflow's"),
        (200, "<!doctype html>", {}, "was answered with no JSON object"),
        (200, "[]", {}, "was answered with no JSON object"),
        (200, "{}", {}, "has no readable `registered_model`"),
        (200, '{"registered_model": {"aliases": 3}}', {}, "no readable `aliases`"),
        (
            200,
            '{"registered_model": {"aliases": [3]}}',
            {},
            "MLflow's answer has no readable `alias`",
        ),
        (
            302,
            "",
            {"location": "https://login.example/?to=mlflow"},
            "302, it sends callers on to https://login.example/?to=mlflow; give",
        ),
        (
            503,
            json.dumps({"error_code": "TEMPORARILY_UNAVAILABLE", "message": "\x1b[2J"}),
            {},
            "503 TEMPORARILY_UNAVAILABLE (\\u001b[2J)",
        ),
        (500, "x" * 9999, {}, f"500 ({'x' * 300})\n"),
    ],
)
def test_other_answers(
    registry: MlflowRegistry,
    status: int,
    body: str,
    headers: dict[str, str],
    said: str,
) -> None:
    registry.answers["registered-models/get"] = (status, body, headers)
    assert said in export(registry.address)


def test_pages_without_an_end(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_server, "PAGES", 3)
    page = json.dumps({"model_versions": [], "next_page_token": "again"})
    registry.answers["model-versions/search"] = (200, page, {})
    assert "employment has more than 3000 versions" in export(registry.address)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("mlflow.example", "'mlflow.example' is not the address"),
        ("databricks://profile", "give https://HOST[:PORT][/PATH]"),
        ("sqlite:///mlflow.db", "give https://HOST[:PORT][/PATH]"),
        ("http://a:b", "'http://a:b' is not the address of an MLflow server"),
        ("https://mlflow.example/?a=b", "give https://HOST[:PORT][/PATH]"),
    ],
)
def test_wrong_addresses(address: str, said: str) -> None:
    assert said in export(address, status=2)


def test_a_password_in_the_address_is_not_repeated() -> None:
    for scheme in ("http://", "ftp://", "", "http://a:b/"):
        said = export(f"{scheme}bob:hunter2@a.example", status=2)
        assert "hunter2" not in said


def test_the_credentials_are_those_of_mlflows_client(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user's name with a password goes before a token, and a half is nothing."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "manage")
    assert "t0ken" not in repr(credentials())
    registry.users = {"MANAGE": "Bearer t0ken"}
    export(registry.address, status=0)
    registry.users = USERS
    login(monkeypatch, "MANAGE")
    export(registry.address, status=0)


def test_the_server_is_that_of_the_environment(
    registry: MlflowRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{registry.address}/")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    words = ("ledger", "mlflow", "export", MODEL, "--yes")
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    assert registry.aliases == {"prod": "1"}
