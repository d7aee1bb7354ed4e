"""Requests that run apart: alone and whole, over HTTP, gRPC and in applications."""

from __future__ import annotations

import asyncio
import concurrent.futures
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import helper

from tests.support import grpc_calls
from tests.support.graphs import write_graph
from tests.support.model_server import ModelServer
from tests.support.prometheus_text import labelled

SETTINGS = {"MAX_BATCH_ROWS": 4, "MAX_REQUEST_ROWS": 32, "MAX_WAIT_SECONDS": 30}
ROWS = np.random.default_rng(1).normal(size=(40, 4)).astype(np.float32)
REQUESTS = [ROWS[start : start + count] for start, count in ((0, 1), (1, 2), (3, 13))]
"""The last is larger than a batch."""


def expected(rows: NDArray[np.float32]) -> Any:
    powers = np.exp(rows.astype(np.float64))
    return pytest.approx((powers / powers.sum(axis=0)).ravel(), rel=1e-4)


def write_ranking(folder: Path) -> Path:
    """A model that shares one among the rows of a request, in each column."""
    x, y = ("x", "FP32", [4]), ("y", "FP32", [4])
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0)
    return write_graph(folder / "ranking", [node], [x], [y], rows="dependent")


def body(rows: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "name": "x",
                "datatype": "FP32",
                "shape": list(rows.shape),
                "data": rows.ravel().tolist(),
            }
        ]
    }


def test_requests_over_http_and_grpc(tmp_path: Path, log_folder: Path) -> None:
    """Asked at once by many callers, each gets what its own rows alone give."""
    write_ranking(tmp_path / "models")
    port = grpc_calls.free_port()
    with (
        ModelServer(
            tmp_path / "models", log_folder, GRPC_PORT=port, **SETTINGS
        ) as server,
        grpc_calls.channel(port) as channel,
        concurrent.futures.ThreadPoolExecutor(12) as pool,
    ):
        call = channel.unary_unary(grpc_calls.METHOD)

        def ask(rows: NDArray[np.float32]) -> list[float]:
            answer = server.client.post("/infer", json=body(rows))
            assert answer.status_code == 200, answer.text
            values: list[float] = answer.json()["outputs"][0]["data"]
            return values

        def call_for(rows: NDArray[np.float32]) -> list[float]:
            message = grpc_calls.request(rows.tolist(), model="ranking", name="x")
            found = grpc_calls.answer(call(message))
            values: list[float] = np.frombuffer(
                found.raw_output_contents[0], "<f4"
            ).tolist()
            return values

        asked = REQUESTS * 8
        for way in (ask, call_for):
            for rows, values in zip(asked, pool.map(way, asked), strict=True):
                assert values == expected(rows)
        (loaded,) = [it for it in server.logs() if it["message"] == "model loaded"]
        assert loaded["runs_apart"] is True
        counted = server.metrics()
        assert counted["model_batch_rows_count"] == 2 * len(asked)


def test_predictions_of_an_application(tmp_path: Path) -> None:
    from model_server.adapters import Predictor

    write_ranking(tmp_path / "models")
    predictor = Predictor.from_environment(
        {
            "MODEL_SERVER_MODELS": str(tmp_path / "models"),
            "MODEL_SERVER_PREDICTION_LOG": "",
            **{f"MODEL_SERVER_{name}": str(value) for name, value in SETTINGS.items()},
        }
    )
    predictor.start()
    while not predictor.is_ready:
        time.sleep(0.01)

    async def ask() -> list[Any]:
        return await asyncio.gather(*[predictor.apredict(rows) for rows in asked])

    asked = REQUESTS * 8
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        found = list(pool.map(predictor.predict, asked))
    for rows, outputs in zip(asked, found + asyncio.run(ask()), strict=False):
        assert outputs["y"].ravel() == expected(rows)
    predictor.close()


class OneAtATime:
    """A model that takes a known time and notes the rows of each run."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.manifest = SimpleNamespace(inputs=())

    def run(self, buffers: list[bytes]) -> list[NDArray[np.float32]]:
        rows = len(buffers[0]) // 4
        self.runs.append(rows)
        time.sleep(0.02)
        return [np.zeros(rows, np.float32)]


def test_the_queue_counts_runs_and_not_rows() -> None:
    """Ten requests wait for ten runs: what they wait for is told before, and kept."""
    from model_server.apart import ApartBatcher
    from model_server.batching import Job
    from model_server.errors import RequestError
    from model_server.metrics import ModelMetrics
    from model_server.protocol import Inference
    from model_server.run_time import RunTime

    model: Any = OneAtATime()

    async def scenario() -> list[float]:
        answers: asyncio.Queue[object] = asyncio.Queue()
        batcher = ApartBatcher(
            model,
            ModelMetrics({}, "1"),
            RunTime({1: 0.02, 8: 0.02}),
            max_request_rows=8,
            max_queue_rows=100,
            max_queue_bytes=2**20,
            max_wait_seconds=0.15,
        )

        def job(rows: int) -> Job:
            inference = Inference(None, rows, [bytes(4 * rows)], None)
            now = time.monotonic()
            return Job(
                None,
                inference,
                "",
                None,
                lambda _, result: answers.put_nowait(result),
                None,
                now,
                None,
                as_text=False,
            )

        waits = []
        for rows in (1, 8, 1, 1, 8, 1, 1, 1):
            waits.append(batcher.expected_wait())
            batcher.submit(job(rows))
        with pytest.raises(RequestError) as caught:
            batcher.submit(job(1))
        assert caught.value.code == "overloaded"
        for _ in range(8):
            await answers.get()
        waits.append(batcher.expected_wait())
        batcher.submit(job(1))
        await answers.get()
        batcher.close()
        return waits

    waits = asyncio.run(scenario())
    assert waits == pytest.approx([0.02 * n for n in range(8)] + [0.0])
    assert model.runs == [1, 8, 1, 1, 8, 1, 1, 1, 1]


def test_a_value_beyond_a_table_is_the_callers_error(
    tmp_path: Path, log_folder: Path
) -> None:
    """HTTP, gRPC and application alike; the others of its batch are answered."""
    from model_server.adapters import Predictor
    from model_server.errors import RequestError
    from model_server.grpc_messages import message

    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    node = helper.make_node("Gather", ["table", "ids"], ["y"])
    write_graph(
        tmp_path / "models/lookup",
        [node],
        [("ids", "INT64", [])],
        [("y", "FP32", [3])],
        {"table": table},
        log={"keep": ["ids"]},
    )
    reason = "idx=9 must be within the inclusive range [-4,3]"
    port = grpc_calls.free_port()
    with (
        ModelServer(tmp_path / "models", log_folder, GRPC_PORT=port) as server,
        grpc_calls.channel(port) as channel,
        concurrent.futures.ThreadPoolExecutor(8) as pool,
    ):

        def ask(value: int) -> Any:
            tensor = {"name": "ids", "datatype": "INT64", "shape": [1], "data": [value]}
            return server.client.post("/infer", json={"inputs": [tensor]})

        values = [1, 9, 3, 2] * 8
        for value, answer in zip(values, pool.map(ask, values), strict=True):
            if value == 9:
                assert (answer.status_code, answer.json()["code"]) == (
                    400,
                    "invalid_request",
                )
                assert reason in answer.json()["error"]
            else:
                assert answer.json()["outputs"][0]["data"] == table[value].tolist()
        tensor = {"name": "ids", "datatype": "INT64", "shape": [1]}
        asked = message("ModelInferRequest")(
            model_name="lookup",
            inputs=[{**tensor, "contents": {"int64_contents": [9]}}],
        ).SerializeToString()
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(grpc_calls.METHOD)(asked)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason in caught.value.details()
        page = server.client.get("/metrics").text
        errors = labelled(page, "model_errors_total")
        counted = [(it["status"], value) for it, value in errors if value]
        assert counted == [("400", values.count(9) + 1)]
        levels = {line["level"] for line in server.logs()}
        assert levels == {"info"}
        lines = server.output.read_text().splitlines()
        assert all(line.startswith("{") for line in lines)
    predictor = Predictor.from_environment(
        {
            "MODEL_SERVER_MODELS": str(tmp_path / "models"),
            "MODEL_SERVER_PREDICTION_LOG": "",
        }
    )
    predictor.start()
    while not predictor.is_ready:
        time.sleep(0.01)
    with pytest.raises(RequestError, match="the model refuses the values") as refused:
        predictor.predict([9])
    assert refused.value.status == 400
    predictor.close()
