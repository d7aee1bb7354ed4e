"""Each example application: its own route, and the server's contract beside it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from prometheus_client.parser import text_string_to_metric_families

from slipway import images
from tests.server.conftest import COLUMNS
from tests.server.test_errors import WRONG
from tests.server.test_prediction_log import records
from tests.support import oip
from tests.support.example_app import COMMANDS, EXAMPLES, FRAMEWORKS, ExampleApp
from tests.support.model_server import SERVER, ModelServer, request
from tests.support.pins import pins
from tests.support.prometheus_text import labelled
from toolchain import paths

TOLERANCE = 1e-6
LIMITS = {"MAX_BODY_BYTES": 65536, "MAX_REQUEST_ROWS": 300, "MAX_BATCH_ROWS": 64}
JSON = {"content-type": "application/json"}
GZIP = {**JSON, "content-encoding": "gzip"}
BODY = json.dumps(request([1, 2.5, -3, 0], COLUMNS)).encode()
LONG = json.dumps(request([1, 2.5, -3, 0] * 200, COLUMNS)).encode()


@pytest.fixture(scope="module")
def employment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the one model `employment`."""
    folder = tmp_path_factory.mktemp("employment")
    (folder / "employment").symlink_to(images.model_folder("employment"))
    return folder


@pytest.fixture(scope="module", params=FRAMEWORKS)
def app(
    request: pytest.FixtureRequest,
    models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ExampleApp]:
    """An example application with the model `tiny`."""
    log = tmp_path_factory.mktemp(request.param) / "log"
    log.mkdir()
    with ExampleApp(request.param, models, log, **LIMITS) as running:
        yield running


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_real_rows_equal_scikit_learn_on_both_routes(
    framework: str, employment: Path, log_folder: Path
) -> None:
    """The application's own route and the protocol's; counted, labelled, logged."""
    rows, expected = images.real_rows("employment", 1000)
    with ExampleApp(framework, employment, log_folder) as app:
        got = []
        for part in np.array_split(rows, 10):
            answer = app.client.post(
                "/v2/models/employment/infer", content=oip.request(part), headers=JSON
            )
            assert answer.status_code == 200, answer.text
            got.append(oip.output(answer.json(), "probability"))
        assert np.abs(np.concatenate(got) - expected).max() <= TOLERANCE
        features = app.client.get("/v2/models/employment").json()["parameters"]
        for row, (_, probability) in zip(rows[:30], expected[:30], strict=True):
            named = dict(zip(features["features"], map(int, row), strict=True))
            answer = app.client.post("/score", json=named)
            assert answer.status_code == 200, answer.text
            assert set(answer.json()) == {"employed", "probability"}
            assert abs(answer.json()["probability"] - probability) <= TOLERANCE
            assert answer.json()["employed"] is bool(probability > 0.5)
        del named["SCHL"]
        assert app.client.post("/score", json=named).status_code in (400, 422)
        text = app.client.get("/metrics").text
        ((labels, _),) = labelled(text, "model_ready")
        assert labels["model"] == "employment"
        assert labels["revision"].startswith("sha256:")
        families = list(text_string_to_metric_families(text))
        of_all = [sample.labels for family in families for sample in family.samples]
        runtimes = {it["runtime"] for it in of_all if "runtime" in it}
        assert runtimes == {framework}
        # The rows that FastAPI itself refuses do not come to the model.
        found = app.metrics()
        assert found["model_requests_total"] == 40
        assert found["model_inflight"] == 0
        assert app.stop() == 0
    logged = [record for record in records(log_folder) if record["status"] == 200]
    assert len(logged) == 1030
    assert [list(record["features"].values()) for record in logged[-30:]] == [
        row[:14].tolist() for row in rows[:30]
    ]
    attributes = [it["attributes"] for it in records(log_folder, "protected")]
    assert [list(it) for it in attributes] == [["SEX", "RAC1P"]] * 1030
    assert [list(it.values()) for it in attributes[:1000]] == rows[:, 14:].tolist()


EXCHANGES: dict[str, tuple[str, str, bytes, dict[str, str]]] = {
    "inference": ("POST", "/infer", BODY, JSON),
    "by name": ("POST", "/v2/models/tiny/infer", BODY, JSON),
    "by version": ("POST", "/v2/models/tiny/versions/1/infer", BODY, JSON),
    "live": ("GET", "/healthz", b"", {}),
    "ready": ("GET", "/readyz", b"", {}),
    "server": ("GET", "/v2", b"", {}),
    "protocol's health": ("GET", "/v2/health/ready", b"", {}),
    "metadata": ("GET", "/v2/models/tiny", b"", {}),
    "model ready": ("GET", "/v2/models/tiny/versions/1/ready", b"", {}),
    "document": ("GET", "/v2/models/tiny/openapi.json", b"", {}),
    "head": ("HEAD", "/v2/models/tiny", b"", {}),
    "own id": ("POST", "/infer", BODY, {**JSON, "x-request-id": "a/b=1"}),
    "bad id": ("POST", "/infer", BODY, {**JSON, "x-request-id": "a b"}),
    "not JSON": ("POST", "/infer", b"{", JSON),
    "empty": ("POST", "/infer", b"", JSON),
    "form": ("POST", "/infer", b"a=1", {"content-type": "text/plain"}),
    "gzip": (
        "POST",
        "/infer",
        gzip.compress(BODY),
        {**JSON, "content-encoding": "gzip"},
    ),
    "not gzip": ("POST", "/infer", BODY, {**JSON, "content-encoding": "gzip"}),
    "gzip back": ("POST", "/infer", BODY, {**JSON, "accept-encoding": "gzip"}),
    "patience": ("POST", "/infer", BODY, {**JSON, "x-request-timeout-ms": "9000"}),
    "no patience": ("POST", "/infer", BODY, {**JSON, "x-request-timeout-ms": "-1"}),
    "revision": ("POST", "/infer", BODY, {**JSON, "x-model-revision": "other"}),
    "wrong method": ("GET", "/infer", b"", {}),
    "other method": ("DELETE", "/v2", b"", {}),
    "page not to post": ("POST", "/healthz", b"", {}),
    "unknown model": ("POST", "/v2/models/other/infer", BODY, JSON),
    "unknown version": ("GET", "/v2/models/tiny/versions/9", b"", {}),
    "nothing there": ("GET", "/v2/nothing", b"", {}),
    "large body": ("POST", "/infer", b" " * 65537, JSON),
    "many rows": (
        "POST",
        "/infer",
        json.dumps(request([0] * COLUMNS * 301, COLUMNS)).encode(),
        JSON,
    ),
    **{
        f"wrong: {name}": ("POST", "/infer", json.dumps(body).encode(), JSON)
        for name, (body, _, _) in WRONG.items()
    },
}
HEADERS = ("content-type", "content-encoding", "allow", "retry-after", "vary")


def told(answer: httpx.Response, given_id: bool) -> tuple[Any, ...]:
    """What of an answer is the same for each request, whoever serves it."""
    body: Any = answer.content
    if answer.headers.get("content-type") == "application/json" and body:
        body = answer.json()
        for key in ("request_id", "id"):
            if not given_id and key in body:
                assert body.pop(key) == answer.headers["x-request-id"]
    named = [answer.headers.get(name) for name in HEADERS]
    model = [answer.headers.get(f"x-model-{name}") for name in ("revision", "version")]
    return answer.status_code, body, named, model, "x-request-id" in answer.headers


def test_every_answer_is_the_servers_own(app: ExampleApp, server: ModelServer) -> None:
    """Status, body, headers; and each counted in the same way."""
    differences = {}
    before = app.metrics(), server.metrics()
    for name, (method, path, content, headers) in EXCHANGES.items():
        answers = [
            side.client.request(
                method,
                path,
                content=content,
                headers={"accept-encoding": "identity", **headers},
            )
            for side in (app, server)
        ]
        ours, theirs = (told(it, name == "own id") for it in answers)
        if ours != theirs:
            differences[name] = ours, theirs
        assert answers[0].headers["x-content-type-options"] == "nosniff", name
    assert differences == {}
    counts = ("model_requests_total", "model_errors_total", "model_inflight")
    counted = [
        [after[key] - start.get(key, 0) for key in counts]
        for start, after in zip(before, (app.metrics(), server.metrics()), strict=True)
    ]
    assert counted[0] == counted[1]
    assert app.is_alive()


def test_binary_tensors(app: ExampleApp, server: ModelServer) -> None:
    values = np.arange(8, dtype="<f4")
    tensor = {
        "name": "X",
        "datatype": "FP32",
        "shape": [2, COLUMNS],
        "parameters": {"binary_data_size": values.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "id": "raw"}).encode()
    headers = {
        "content-type": "application/octet-stream",
        "inference-header-content-length": str(len(head)),
    }
    answers = [
        side.client.post("/infer", content=head + values.tobytes(), headers=headers)
        for side in (app, server)
    ]
    assert answers[0].status_code == 200, answers[0].text
    assert answers[0].content == answers[1].content


def test_a_body_in_chunks(app: ExampleApp) -> None:
    def chunks(count: int) -> Iterator[bytes]:
        yield BODY[:20]
        yield BODY[20:]
        for _ in range(count):
            yield b" " * 8192

    assert app.client.post("/infer", content=chunks(0), headers=JSON).is_success
    refused = app.client.post("/infer", content=chunks(9), headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (413, "body_too_large")


def test_a_client_goes_on_after_a_body_that_nobody_read(app: ExampleApp) -> None:
    """gunicorn cannot take what is left on the connection, and says so."""
    large = b" " * 1_000_000
    for path, status in (("/infer", 413), ("/v2/nothing", 404)):
        for _ in range(10):
            refused = app.client.post(path, content=large, headers=JSON)
            assert refused.status_code == status
            if app.framework != "fastapi":
                assert refused.headers["connection"] == "close"
            fine = app.client.get("/healthz")
            assert fine.is_success
            assert fine.headers.get("connection", "keep-alive") == "keep-alive"


def test_the_applications_own_errors_stay_its_own(app: ExampleApp) -> None:
    for path, status in (("/nothing", 404), ("/score", 405)):
        answer = app.client.get(path)
        assert answer.status_code == status
        assert '"code"' not in answer.text


def test_every_line_of_the_log_is_json(app: ExampleApp) -> None:
    app.client.get("/healthz")
    for line in app.output.read_text().splitlines():
        assert {"time", "level", "logger", "message"} <= set(json.loads(line))


def test_the_images_run_the_same_commands() -> None:
    for framework, command in COMMANDS.items():
        text = (EXAMPLES / framework / "Containerfile").read_text()
        text = text.replace("\\\n   ", "")
        entry = next(line for line in text.splitlines() if "ENTRYPOINT" in line)
        found = json.loads(entry.removeprefix("ENTRYPOINT "))
        assert found == ["python3", "-m", *command]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_images_pins_are_those_of_the_project(framework: str) -> None:
    project = pins((paths.ROOT / "constraints.txt").read_text())
    own = pins((EXAMPLES / framework / "requirements.txt").read_text())
    assert own == {name: project[name] for name in own}
    core = pins((SERVER / "requirements.txt").read_text())
    assert not core.keys() & own.keys(), "it is in the base"


def closure(roots: set[str]) -> set[str]:
    """Every distribution that these need to run, themselves included."""
    found: set[str] = set()
    left = {canonicalize_name(name) for name in roots}
    while left:
        name = left.pop()
        found.add(name)
        for line in distribution(name).requires or []:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                left |= {canonicalize_name(needed.name)} - found
    return found


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_images_hold_all_that_their_frameworks_need(framework: str) -> None:
    """pip installs them with --no-deps."""
    pinned = [
        {
            canonicalize_name(line.partition("==")[0])
            for line in (folder / "requirements.txt").read_text().splitlines()
            if not line.startswith("#")
        }
        for folder in (EXAMPLES / framework, SERVER)
    ]
    server = {"gunicorn"} if framework != "fastapi" else {"uvicorn"}
    own = {"asyncpg"} if framework == "fastapi" else set()  # of the example itself
    needed = closure({framework, *server, *own})
    assert needed <= pinned[0] | pinned[1]
    assert pinned[0] <= needed
