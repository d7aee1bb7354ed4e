"""`slipway ledger mlflow` with the real MLflow server, its basic-auth and its rights.

Not in a usual run: beside 50 s of processor time for the server and its hashing of
passwords, a new machine needs 50 s more to install it (89 distributions, 570 MB).
SLIPWAY_MLFLOW=1 runs it. tests/unit/test_ledger_mlflow.py tries the same, and more,
with the shapes that were seen here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from slipway.cli import cli
from slipway.ledger import keys
from slipway.ledger.options import default_ledger
from tests.support import ledgers
from tests.support.grpc_calls import free_port
from toolchain import own_venv

REQUIREMENTS = Path(__file__).with_name("requirements-mlflow.txt")
MODEL = ledgers.MODEL
ADMIN = ("admin", "the-password-of-admin")
START_SECONDS = 500
CALL_SECONDS = 120
"""A password is hashed slowly on purpose, for each request."""

pytestmark = [
    pytest.mark.optional,
    pytest.mark.skipif(
        os.environ.get("SLIPWAY_MLFLOW") != "1",
        reason="MLflow takes 570 MB and 50 s of processor time: SLIPWAY_MLFLOW=1",
    ),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server with a model of three versions, and users by their permission."""
    folder, port = tmp_path_factory.mktemp("mlflow"), free_port()
    store = f"sqlite:///{folder}/mlflow.db"
    command = [str(own_venv.python(REQUIREMENTS)), "-m", "mlflow", "server"]
    command += ["--app-name", "basic-auth", "--workers", "1"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", store, "--registry-store-uri", store]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        found = f"http://127.0.0.1:{port}"
        wait(server, found, folder / "log")
        fill(found)
        yield found
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DO_NOT_TRACK": "true",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            if httpx.get(f"{address}/health", timeout=5).text == "OK":
                return
        except httpx.HTTPError:
            time.sleep(1)
    pytest.fail(f"the server does not answer:\n{log.read_text()[-3000:]}")


def post(address: str, path: str, content: dict[str, Any]) -> None:
    url = f"{address}/api/{path}"
    answer = httpx.post(url, json=content, auth=ADMIN, timeout=CALL_SECONDS)
    assert answer.status_code == 200, (path, answer.text)


def fill(address: str) -> None:
    post(address, "2.0/mlflow/registered-models/create", {"name": MODEL})
    for number in (1, 2, 3):
        version = {"name": MODEL, "source": f"s3://models/{number}"}
        post(address, "2.0/mlflow/model-versions/create", version)
    for permission in ("READ", "EDIT", "MANAGE"):
        user = {"username": permission.lower(), "password": "a-long-password"}
        post(address, "2.0/mlflow/users/create", user)
        grant = {
            "username": user["username"],
            "resource_type": "registered_model",
            "resource_id": MODEL,
            "permission": permission,
        }
        post(address, "3.0/mlflow/users/permissions/grant", grant)


def move_alias(address: str, alias: str, number: str) -> None:
    given = {"name": MODEL, "alias": alias, "version": number}
    post(address, "2.0/mlflow/registered-models/alias", given)


def test_both_ways_and_the_rights(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr("slipway.ledger.mlflow_server.TIMEOUT_SECONDS", CALL_SECONDS)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN", raising=False)
    keys.make(keys.default_key())
    ledger = ledgers.ledger(default_ledger())
    for name, states in (("r1", ("staged", "serving")), ("r2", ("staged", "canary"))):
        ledger.register(MODEL, name, ledgers.subject(int(name[1])), ledgers.WORD)
        for state in states:
            ledger.move(MODEL, name, state, ledgers.WORD)

    def run(user: str, *words: str) -> Result:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", user)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "a-long-password")
        return CliRunner().invoke(cli, ["ledger", "mlflow", *words])

    export = ("export", MODEL, "--yes")
    why = ("import", MODEL, "--yes", "--why", "Bob moved it", "--by", "alice")

    assert "401, the credentials are missing or wrong" in run("noone", *export).output
    assert "no version in MLflow has the tag" in run("read", *export).output
    link = ("link", MODEL, "r1", "1")
    assert "set-tag: 403 (Permission denied)" in run("read", *link).output
    assert "slipway.revision: set to r1" in run("edit", *link).output
    assert "slipway.revision: r1, as it is" in run("edit", *link).output
    assert run("edit", "link", MODEL, "r2", "2").exit_code == 0
    assert "version=9) not found" in run("edit", "link", MODEL, "r2", "9").output

    assert "alias: 403 (Permission denied)" in run("read", *export).output
    said = run("edit", *export).output
    assert "prod: set to version 1\ncanary: set to version 2\n" in said
    assert run("read", *export).output.endswith("nothing to change\n")

    move_alias(address, "prod", "2")
    said = run("read", *why).output
    assert "prod, canary: both name r2, which has one state" in said
    move_alias(address, "canary", "3")
    assert "canary: version 3 has no tag slipway.digest" in run("read", *why).output
    said = run("read", *why, "--alias", "serving=prod").output
    assert "prod: version 2 is r2: canary -> serving\nemployment r2: serving," in said
    said = run("read", *why, "--alias", "serving=prod").output
    assert said.endswith("nothing to change\n")

    # No revision is canary: the alias goes, if it is one of the ledger's.
    assert "canary: version 3 (not in the ledger), left as it is" in (
        run("read", *export).output
    )
    move_alias(address, "canary", "2")
    assert "alias: 403 (Permission denied)" in run("edit", *export).output
    assert run("manage", *export).output.endswith("canary: deleted\n")
    unknown = ("--registered-model", "income")
    assert "404 RESOURCE_DOES_NOT_EXIST (Registered Model with name=income" in (
        run("read", *export, *unknown).output
    )
