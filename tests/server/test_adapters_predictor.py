"""`Predictor` in the process of its caller, and what the adapters import."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest

from tests.server.conftest import COLUMNS, Tiny
from tests.server.test_prediction_log import records
from tests.support.model_server import SERVER

if TYPE_CHECKING:
    from model_server.adapters import Predictor


@pytest.fixture(scope="module")
def log_of_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def predictor(models: Path, log_of_module: Path) -> Iterator[Predictor]:
    from model_server.adapters import Predictor

    settings = {
        "MODEL_SERVER_MODELS": str(models),
        "MODEL_SERVER_PREDICTION_LOG": str(log_of_module),
        "MODEL_SERVER_MAX_REQUEST_ROWS": "300",
        "MODEL_SERVER_THREADS": "1",
    }
    made = Predictor.from_environment(settings)
    assert not made.is_ready
    with pytest.raises(Exception, match="still loading"):
        made.predict([[0] * COLUMNS])
    while not made.is_ready:
        assert made.http("GET", "/readyz", {}, bytes)[0] in (200, 503)
    yield made
    made.close()


def close_to(tiny: Tiny, count: int) -> Any:
    return pytest.approx(tiny.probabilities()[:count], abs=1e-6)


def test_rows_from_many_threads(predictor: Predictor, tiny: Tiny) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(predictor.predict, tiny.rows[:200, None, :]))
    probabilities = np.concatenate([each["probabilities"] for each in found])
    assert probabilities == close_to(tiny, 200)
    assert all(each["label"].shape == (1,) for each in found)
    assert all(each["probabilities"].dtype == np.float32 for each in found)


def test_rows_from_another_event_loop(predictor: Predictor, tiny: Tiny) -> None:
    async def ask() -> list[dict[str, Any]]:
        rows = np.array_split(tiny.rows[:200], 10)
        return await asyncio.gather(*[predictor.apredict(part) for part in rows])

    found = np.concatenate([each["probabilities"] for each in asyncio.run(ask())])
    assert found == close_to(tiny, 200)


def test_rows_in_the_models_own_event_loop(models: Path, tiny: Tiny) -> None:
    from model_server.adapters import Predictor
    from model_server.service import Service

    made = Predictor.from_environment(
        {"MODEL_SERVER_MODELS": str(models), "MODEL_SERVER_PREDICTION_LOG": ""}
    )

    async def ask() -> Any:
        service = Service(made.config, None, "test")
        made.attach(service)
        await service.load()
        with pytest.raises(RuntimeError, match=r"await predictor\.apredict"):
            made.predict(tiny.rows[:1])
        gone = asyncio.create_task(made.apredict(tiny.rows[:1]))
        await asyncio.sleep(0)
        gone.cancel()
        rows = np.array_split(tiny.rows[:20], 4)
        found = await asyncio.gather(*[made.apredict(part) for part in rows])
        service.close(1)
        assert service.inflight == 0
        return np.concatenate([each["probabilities"] for each in found])

    assert asyncio.run(ask()) == close_to(tiny, 20)


def test_named_features_in_any_order(predictor: Predictor, tiny: Tiny) -> None:
    names = [f"f{number}" for number in range(COLUMNS)]
    named = [
        dict(reversed(list(zip(names, map(float, row), strict=True))))
        for row in tiny.rows[:5]
    ]
    assert (predictor.rows_of(named) == tiny.rows[:5]).all()
    by_input = predictor.predict({"X": tiny.rows[:5]})
    assert by_input["probabilities"] == close_to(tiny, 5)


def test_what_an_answer_holds_is_its_own(predictor: Predictor, tiny: Tiny) -> None:
    """Writing to it changes no other answer and no record of the log."""
    first = predictor.predict(tiny.rows[:1], request_id="kept-as-it-was")
    first["probabilities"][:] = 7
    assert predictor.predict(tiny.rows[:1])["probabilities"] == close_to(tiny, 1)


WRONG_ROWS: dict[str, tuple[Any, dict[str, Any], int, str]] = {
    "columns": ([[1, 2, 3]], {}, 400, "shape"),
    "one row without its brackets": ([1, 2, 3, 4], {}, 400, "shape"),
    "texts": ([["a", "b", "c", "d"]], {}, 400, "X: "),
    "no rows": (np.empty((0, COLUMNS)), {}, 400, "shape"),
    "many rows": (np.zeros((301, COLUMNS)), {}, 413, "301"),
    "other input": ({"Y": [[1, 2, 3, 4]]}, {}, 400, "not one of the model's inputs X"),
    "other model": ([[1, 2, 3, 4]], {"model": "other"}, 404, "tiny"),
    "bad id": ([[1, 2, 3, 4]], {"request_id": "a b"}, 400, "request_id"),
    "no time": ([[1, 2, 3, 4]], {"timeout_seconds": 0.0}, 504, "deadline"),
}


@pytest.mark.parametrize("name", WRONG_ROWS)
def test_wrong_rows_raise_what_the_server_answers(
    predictor: Predictor, name: str
) -> None:
    from model_server.adapters import RequestError

    rows, how, status, text = WRONG_ROWS[name]
    with pytest.raises(RequestError, match=text) as caught:
        predictor.predict(rows, **how)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("record", "text"),
    [
        ({"f0": 1, "f1": 2, "f2": 3}, r"\[0\]\.f3: is missing"),
        ({"f0": 1, "f1": 2, "f2": 3, "f3": 4, "g": 5}, r"\[0\]\.g: is not one of"),
        ({"f0": 1, "f1": 2, "f2": 3, "f3": "4"}, r"\[0\]\.f3: must be a number"),
        ({"f0": 1, "f1": 2, "f2": 3, "f3": True}, r"\[0\]\.f3: must be a number"),
        ({"f0": 1, "f1": 2, "f2": 3, "f3": float("nan")}, r"\[0\]\.f3: must be"),
        ([1, 2, 3, 4], r"\[0\]: must be an object"),
    ],
)
def test_wrong_features_name_the_first(
    predictor: Predictor, record: Any, text: str
) -> None:
    from model_server.adapters import RequestError

    with pytest.raises(RequestError, match=text):
        predictor.rows_of([record])


def test_all_is_counted_and_logged(predictor: Predictor, log_of_module: Path) -> None:
    """Run after the others: what they asked stands in the metrics and in the log."""
    text = predictor.http("GET", "/metrics", {}, bytes)[2].decode()
    assert 'runtime="python"' in text
    predictor.predict([[1, 2, 3, 4]], request_id="the-last")
    predictor.close()
    logged = {record["id"]: record for record in records(log_of_module)}
    assert logged["the-last"]["features"] == {"f0": 1, "f1": 2, "f2": 3, "f3": 4}
    if "kept-as-it-was" in logged:
        assert logged["kept-as-it-was"]["score"] < 1


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SERVER), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "model_server.adapters.predictor",
            ("fastapi", "starlette", "flask", "django", "gunicorn", "uvicorn"),
        ),
        ("model_server.adapters.fastapi", ("flask", "django", "gunicorn")),
        ("model_server.adapters.flask", ("fastapi", "django", "gunicorn", "uvicorn")),
        ("model_server.adapters.django", ("fastapi", "flask", "gunicorn", "uvicorn")),
        # It is read before gunicorn forks, which onnxruntime's threads do not survive.
        ("model_server.adapters.gunicorn", ("onnxruntime", "numpy", "flask", "django")),
    ],
)
def test_an_adapter_imports_its_own_framework_only(
    module: str, absent: tuple[str, ...]
) -> None:
    done = run(
        f"import sys, {module}; print([n for n in {absent!r} if n in sys.modules])"
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr


def test_what_an_application_has_already_is_not_taken_over() -> None:
    from fastapi import FastAPI
    from flask import Flask
    from model_server.adapters import Predictor
    from model_server.adapters import django as for_django
    from model_server.adapters import fastapi as for_fastapi
    from model_server.adapters import flask as for_flask
    from model_server.adapters.contract import MountError

    made = Predictor.from_environment({})
    flask, fastapi = Flask("own"), FastAPI()
    flask.add_url_rule("/metrics", view_func=lambda: "mine")
    fastapi.add_api_route("/metrics", lambda: "mine")
    for mount in (
        lambda **how: for_flask.mount(flask, made, **how),
        lambda **how: for_fastapi.mount(fastapi, made, **how),
    ):
        with pytest.raises(MountError, match="at /metrics already"):
            mount()
        with pytest.raises(MountError, match=r"\['/metric'\]: the contract has no"):
            mount(leave=["/metric"])
        mount(leave=["/metrics"])
    rules = {rule.rule for rule in flask.url_map.iter_rules()}
    assert {"/healthz", "/readyz", "/metrics", "/infer", "/v2"} <= rules
    assert flask.test_client().get("/metrics").text == "mine"
    names = {
        str(each.pattern)
        for each in for_django.predictor_urls(made, leave=["/metrics"])
    }
    assert names == {"healthz", "readyz", "v2", "infer", "v2/<path:rest>"}


def test_any_asgi_server_with_lifespan_runs_it(models: Path, tiny: Tiny) -> None:
    """As under plain uvicorn: loaded at the application's start, closed at its end."""
    from fastapi import FastAPI
    from model_server.adapters import Predictor
    from model_server.adapters.fastapi import mount

    app = FastAPI()
    made = Predictor.from_environment(
        {"MODEL_SERVER_MODELS": str(models), "MODEL_SERVER_PREDICTION_LOG": ""}
    )

    @app.get("/first")
    async def first() -> list[list[float]]:
        found = await made.apredict(tiny.rows[:1])
        rows: list[list[float]] = found["probabilities"].tolist()
        return rows

    @app.get("/wrong")
    async def wrong() -> None:
        await made.apredict([[1, 2, 3]])

    mount(app, made)

    async def ask() -> None:
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://a") as client,
        ):
            assert (await client.get("/first")).json()["code"] == "not_ready"
            while (await client.get("/readyz")).status_code == 503:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            got = await client.get("/first")
            assert np.array(got.json()) == close_to(tiny, 1)
            bad = await client.get("/wrong", headers={"x-request-id": "w-1"})
            assert (bad.status_code, bad.json()["request_id"]) == (400, "w-1")
            document = (await client.get("/openapi.json")).json()
            assert document["info"]["title"] == "FastAPI"

    asyncio.run(ask())
    assert made.attached is None


def test_preloading_is_refused() -> None:
    arguments = [
        *("gunicorn", "--preload", "--bind", "127.0.0.1:0"),
        *("--config", "python:model_server.adapters.gunicorn"),
        "wsgiref.simple_server:demo_app",
    ]
    done = run(
        f"import sys; sys.argv = {arguments}\n"
        "from gunicorn.app.wsgiapp import run; run()",
    )
    assert done.returncode == 2
    assert "preload_app is set" in done.stdout
