"""`slipway replay`: the log's requests, copies, bounds, failures, exit statuses."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from slipway.cli import cli
from slipway.replay import command
from slipway.replay.asking import Bounds, Replay, Server, replay
from slipway.replay.prediction_log import LogError, Reading, files
from slipway.replay.request import Model, ModelError

METADATA: dict[str, Any] = {
    "inputs": [
        {"name": "input", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "age", "datatype": "INT64", "shape": [-1, 1]},
    ],
    "outputs": [{"name": "label"}, {"name": "probability"}],
    "parameters": {"features": ["a", "b"]},
}
BOUNDS = Bounds(requests=100, concurrent=3, seconds=60, answer_seconds=5)


def record(name: str = "1", row: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "row": row,
        "model": "m",
        "revision": "old",
        "arm": "stable",
        "status": 200,
        "latency_seconds": 0.5,
        "features": {"a": 1.0, "b": row, "age": 30},
        "decision": 0,
        "score": 0.25,
    } | more


def write(folder: Path, *records: Any, name: str = "predictions-1.jsonl") -> Path:
    text = "".join(json.dumps(one) + "\n" for one in records)
    (folder / name).write_text(text)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["replay", *map(str, arguments)])


def copy(**more: Any) -> dict[str, Any]:
    found = {"revision": "new", "arm": "shadow", "latency_seconds": 0.75}
    return record(**found | more)


def test_copies_that_the_log_has(tmp_path: Path) -> None:
    """Joined by id and row, whichever was written first."""
    write(
        tmp_path,
        copy(id="a", decision=1, score=0.75),
        record("a"),
        record("b", 0),
        record("b", 1),
        copy(id="b", row=1),
        copy(id="c"),
        copy(id="a", revision="other"),
        record("d", model="else"),
        {"no": "record"},
        record("e", code="full", status=503),
    )
    done = run(tmp_path, "m", "--revision", "new", "--recorded", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.output)
    assert found["comparison"]["pairs"] == 2
    assert found["comparison"]["changed"]["some"] == 1
    assert found["comparison"]["scores"]["most"] == 0.5
    assert found["comparison"]["latency"]["canary_median"] == 0.75
    assert found["left_out"] == {
        "copies without their original": 1,
        "records of other models": 1,
        "lines that are not records": 1,
        "requests without an answer": 1,
    }
    shown = run(tmp_path, "m", "--revision", "new", "--recorded")
    assert "1 of 2, 50.00%" in shown.output


@pytest.mark.parametrize(
    ("changed", "most", "status"), [(0, 5, 0), (0, 3, 3), (20, 5, 3), (20, None, 0)]
)
def test_too_many_changes_have_a_status_of_their_own(
    tmp_path: Path, changed: int, most: int | None, status: int
) -> None:
    pairs = [
        it
        for number in range(100)
        for it in (
            record(str(number)),
            copy(id=str(number), decision=int(number < changed)),
        )
    ]
    write(tmp_path, *pairs)
    limit = [] if most is None else ["--max-changed-percent", most]
    done = run(tmp_path, "m", "--revision", "new", "--recorded", *limit)
    assert done.exit_code == status, done.output


def test_nothing_to_compare_is_no_success(tmp_path: Path) -> None:
    write(tmp_path, record())
    for more in ([], ["--json"]):
        done = run(tmp_path, "m", "--revision", "new", "--recorded", *more)
        assert done.exit_code == 1


def test_one_of_two_ways(tmp_path: Path) -> None:
    write(tmp_path, record())
    both = ["--recorded", "--url", "http://127.0.0.1:1"]
    for more in ([], both):
        assert run(tmp_path, "m", "--revision", "new", *more).exit_code == 2
    done = run(tmp_path, "m", "--revision", "new", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "kubectl port-forward" in done.output


def test_a_folder_without_a_log(tmp_path: Path) -> None:
    (tmp_path / "predictions-1.jsonl.part").write_text("{}")
    with pytest.raises(LogError, match="no finished file"):
        files(tmp_path)
    bad = tmp_path / "predictions-2.jsonl.gz"
    bad.write_bytes(b"not gzip")
    with pytest.raises(LogError, match="cannot be read"):
        list(Reading(tmp_path, "m").records())


def test_rows_of_one_request_stay_together(tmp_path: Path) -> None:
    write(
        tmp_path, record("a"), record("a", 1), copy(id="a"), name="predictions-1.jsonl"
    )
    line = json.dumps(record("b")) + "\n"
    (tmp_path / "predictions-2.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    found = [[it["row"] for it in rows] for rows in Reading(tmp_path, "m").requests()]
    assert found == [[0, 1], [0]]


def test_what_the_revision_answered_itself_is_not_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """During a rollout the log has requests of the new revision's own callers."""
    write(
        tmp_path,
        record("a"),
        record("b", revision="new", arm="canary"),
        record("b", 1, revision="new", arm="canary"),
        record("c"),
        copy(id="c"),
    )
    seen: list[str] = []

    async def ask(_: Server, requests: Iterator[Any], *__: Any, **___: Any) -> Replay:
        seen.extend(rows[0]["id"] for rows in requests)
        return Replay()

    monkeypatch.setattr(command, "replay", ask)
    done = run(
        tmp_path, "m", "--revision", "new", "--url", "http://127.0.0.1:1", "--json"
    )
    assert seen == ["a", "c"]
    assert json.loads(done.output)["left_out"] == {
        "requests that the revision answered itself": 1,
        "copied requests": 1,
    }


def asked(
    requests: Sequence[list[dict[str, Any]]],
    answer: Callable[[httpx.Request], httpx.Response],
    bounds: Bounds = BOUNDS,
    metadata: Any = METADATA,
    **more: Any,
) -> Replay:
    def serve(request: httpx.Request) -> httpx.Response:
        assert request.headers["x-model-shadow"] == "new"
        if request.method == "GET":
            return httpx.Response(200, json=metadata)
        return answer(request)

    server = Server("http://m", "m", "new", httpx.MockTransport(serve))
    return asyncio.run(replay(server, iter(requests), bounds, **more))


def good(request: httpx.Request) -> httpx.Response:
    rows = json.loads(request.content)["inputs"][0]["shape"][0]
    outputs = [
        {"name": "label", "data": [1] * rows},
        {"name": "probability", "data": [0.4, 0.6] * rows},
    ]
    return httpx.Response(200, json={"outputs": outputs})


def test_the_request_is_the_logs() -> None:
    seen: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return good(request)

    found = asked([[record("a"), record("a", 1)]], serve)
    assert json.loads(seen[0].content)["inputs"] == [
        {
            "name": "input",
            "datatype": "FP32",
            "shape": [2, 2],
            "data": [1.0, 0, 1.0, 1],
        },
        {"name": "age", "datatype": "INT64", "shape": [2, 1], "data": [30, 30]},
    ]
    assert seen[0].headers["x-request-id"] == "a"
    assert [(it.canary.decision, it.canary.score) for it in found.pairs] == [
        (1, 0.6)
    ] * 2
    assert found.pairs[0].stable.latency == 0.5


def test_what_fails_is_counted_and_compared_with_nothing() -> None:
    answers = iter(
        [
            httpx.Response(503),
            httpx.Response(
                200, json={"outputs": [{"name": "label", "data": [1, 2, 3]}]}
            ),
            httpx.Response(200, text="no"),
        ]
    )

    def serve(request: httpx.Request) -> httpx.Response:
        if (found := next(answers, None)) is None:
            raise httpx.ReadTimeout("late", request=request)
        return found

    one = Bounds(requests=100, concurrent=1, seconds=60, answer_seconds=5)
    rows = [[record("a"), record("a", 1)] for _ in range(4)]
    found = asked(rows, serve, one)
    assert found.failed == {
        "status 503": 1,
        "no answer of the protocol": 2,
        "ReadTimeout": 1,
    }
    assert (found.requests, found.pairs) == (4, [])


def test_features_that_the_log_does_not_have() -> None:
    kept = record("a", features={"a": 1.0})
    found = asked([[kept], [record("b")]], good)
    assert found.left_out == {"requests without age, b": 1}
    assert len(found.pairs) == 1


def test_it_ends_at_its_bounds() -> None:
    rows = [[record(str(number))] for number in range(50)]
    few = asked(rows, good, Bounds(7, 3, 60, 5))
    assert (few.requests, few.ended) == (7, "7 requests were asked")
    clock = iter(range(1000))
    short = asked(rows, good, Bounds(100, 1, 5, 5), clock=lambda: float(next(clock)))
    assert short.requests == 4
    assert short.ended == "5 seconds were over"
    every = asked(rows, good)
    assert (every.requests, every.ended) == (50, "all requests of the log were asked")


def test_no_more_than_the_stated_number_at_a_time() -> None:
    now, most = 0, 0

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal now, most
            if request.method == "GET":
                return httpx.Response(200, json=METADATA)
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.002)
            now -= 1
            return good(request)

    rows = [[record(str(number))] for number in range(30)]
    server = Server("http://m", "m", "new", Slow())
    found = asyncio.run(replay(server, iter(rows), BOUNDS))
    assert (found.requests, most) == (30, BOUNDS.concurrent)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, -1]}]}, "free"),
        ({"parameters": {"features": ["a"]}}, "2 columns and the model names 1"),
    ],
)
def test_models_that_a_log_cannot_ask(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelError, match=text):
        Model.of(METADATA | change)
    with pytest.raises(ModelError, match="no output other"):
        Model.of(METADATA, decision="other")


def test_another_revision_refuses() -> None:
    def serve(_: httpx.Request) -> httpx.Response:
        return httpx.Response(404, json={"code": "unknown_revision"})

    server = Server("http://m", "m", "new", httpx.MockTransport(serve))
    with pytest.raises(ModelError, match="unknown_revision"):
        asyncio.run(replay(server, iter([]), BOUNDS))
