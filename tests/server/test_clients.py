"""Clients as they are: the real ones ask, and what others send is played back."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.server.conftest import COLUMNS, Tiny
from tests.support.example_app import server_or_example
from tests.support.grpc_calls import free_port
from tests.support.model_server import ModelServer, read_all, request
from tests.support.tap import Tap
from toolchain import own_venv

REQUIREMENTS = Path(__file__).with_name("requirements-clients.txt")
SCRIPT = Path(__file__).parents[1] / "support/client_run.py"
RECORDED = yaml.safe_load(
    Path(__file__).with_name("client_requests.yaml").read_text(encoding="utf-8")
)["requests"]
ROW = [1.0, 2.5, -3.0, 0.0]
RUN_SECONDS = 240
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
JSON_LENGTH = re.compile(r"inference-header-content-length: (\d+)")
PYTHON = re.compile(r"Python/\d+\.\d+")


@dataclass(frozen=True)
class Run:
    """What the clients got, by their names, and what they sent, in order."""

    answers: dict[str, Any]
    sent: list[tuple[str, bytes]]


@pytest.fixture(scope="module")
def run(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """All clients that Python has, at a server with both ports, in one process."""
    log = tmp_path_factory.mktemp("clients") / "log"
    log.mkdir()
    port = free_port()
    command = [str(own_venv.python(REQUIREMENTS)), "-I", str(SCRIPT)]
    with ModelServer(models, log, GRPC_PORT=port) as server, Tap(server.port) as tap:
        ended = subprocess.run(
            [*command, f"http://127.0.0.1:{tap.port}", f"127.0.0.1:{port}"],
            input=json.dumps({"rows": [ROW], "model": "tiny"}),
            text=True,
            capture_output=True,
            timeout=RUN_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return Run(json.loads(ended.stdout), tap.requests())


@pytest.mark.parametrize(
    "client",
    [
        "requests",
        "httpx",
        "aiohttp",
        "mlserver_types",
        "mlserver_types_with_nulls",
        "kserve_rest",
        "kserve_rest_binary",
        "kserve_grpc",
        "kserve_grpc_binary",
    ],
)
def test_a_client_gets_what_scikit_learn_says(
    run: Run, tiny: Tiny, client: str
) -> None:
    answer = run.answers[client]
    assert "outputs" in answer, answer
    assert answer["model_name"] == "tiny"
    found = {it["name"]: it["data"] for it in answer["outputs"]}
    expected = tiny.classifier.predict_proba(np.array([ROW]))
    assert np.abs(np.array(found["probabilities"]) - expected[0]).max() < 1e-6
    assert found["label"] == [int(expected.argmax())]


def test_a_client_that_names_another_model_is_reported(run: Run) -> None:
    told = run.answers["kserve_rest_of_another_model"]["error"]
    assert told.startswith("HTTPStatusError: ")
    assert 'model_name: "another" is not tiny' in told


def test_the_record_is_what_the_clients_send(run: Run) -> None:
    """Of those that ran; the page in docs/how-to and the tests below rest on it."""
    expected = [
        (it["head"], it["body"], it.get("body_hex", ""))
        for it in RECORDED
        if "by" in it
    ]
    sent = [
        (PYTHON.sub("Python/3.11", head), *_parts(head, body))
        for head, body in run.sent
        if head.startswith("POST")
    ]
    assert sent == expected


def _parts(head: str, body: bytes) -> tuple[str, str]:
    """Return a body's JSON, ids of no meaning replaced, and what follows it in hex."""
    length = JSON_LENGTH.search(head)
    end = int(length[1]) if length else len(body)
    text = UUID.sub("ffffffff-ffff-ffff-ffff-ffffffffffff", body[:end].decode())
    return text, body[end:].hex()


@pytest.fixture(scope="module", params=["server", "fastapi"])
def app(
    request: pytest.FixtureRequest,
    models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ModelServer]:
    log = tmp_path_factory.mktemp(request.param) / "log"
    log.mkdir()
    with server_or_example(request.param, models, log) as running:
        yield running


def wire(entry: dict[str, Any]) -> bytes:
    """A recorded request as its client sent it."""
    head = entry["head"].replace("\n", "\r\n").encode() + b"\r\n"
    body = entry["body"].encode() + bytes.fromhex(entry.get("body_hex", ""))
    if "transfer-encoding: chunked" in entry["head"].lower():
        return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head + body


@pytest.mark.parametrize(
    "entry", RECORDED, ids=lambda it: f"{it['client'].split()[0]}: {it['call'][:40]}"
)
def test_a_recorded_request(app: ModelServer, entry: dict[str, Any]) -> None:
    """Twice on one connection: head and body together, then in two packets."""
    expected = app.client.post("/infer", json=request(ROW, COLUMNS)).json()["outputs"]
    raw = wire(entry)
    cut = raw.index(b"\r\n\r\n") + 4
    with app.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in (raw, raw[:cut], raw[cut:]):
            connection.sendall(part)
        connection.sendall(
            b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
        )
        text = read_all(connection)
    found = re.findall(rb"HTTP/1\.1 (\d+)", text)
    assert [int(it) for it in found] == [entry["status"]] * 2 + [200], text
    if entry["status"] == 200 and "binary" not in entry:
        bodies = [
            it for it in text.split(b"\r\n\r\n") if it.startswith(b'{"model_name"')
        ]
        assert len(bodies) == 2
        for body in bodies:
            answer = json.loads(body.partition(b"HTTP/1.1")[0])
            assert answer["outputs"] == expected
