"""Thousands of broken requests: never a 5xx, never a crash, memory as before."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import hypothesis
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.server.conftest import COLUMNS, Tiny
from tests.support.model_server import ModelServer, request

CODES = {400, 404, 405, 408, 413, 415, 431}
HEAD = b"POST /infer HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"
BODY = json.dumps(request([1, 2, 3, 4] * 3, COLUMNS)).encode()

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["name", "shape", "data", "x"]), inner)
    ),
    max_leaves=12,
)


@st.composite
def near_requests(draw: st.DrawFn) -> Any:
    """A right request with one to three members replaced by anything."""
    body: Any = request([1.0] * COLUMNS, COLUMNS)
    body |= {"id": "a", "outputs": [{"name": "label"}], "parameters": {}}
    for _ in range(draw(st.integers(1, 3))):
        tensor = body["inputs"][0] if isinstance(body["inputs"], list) else None
        where = draw(
            st.sampled_from(
                [body, tensor] if isinstance(tensor, dict) and tensor else [body]
            )
        )
        where[draw(st.sampled_from([*where, "x"]))] = draw(values)
        if not body.get("inputs"):
            break
    return body


@pytest.fixture(scope="module")
def reader() -> Any:
    from model_server.manifest import Manifest, Tensor
    from model_server.protocol import Reader

    manifest = Manifest(
        name="tiny",
        version="1",
        revision="r",
        inputs=(Tensor("X", "FP32", (-1, COLUMNS)),),
        outputs=(Tensor("label", "INT64", (-1,)),),
        features=(),
        decision="label",
        score="",
        digests={},
    )
    return Reader(manifest, 10)


@hypothesis.settings(max_examples=200, deadline=None, database=None)
@given(body=near_requests())
def test_the_reader_takes_or_refuses(reader: Any, body: Any) -> None:
    """Whatever JSON comes: a request of the model's shape, or an error with a path."""
    from model_server.errors import RequestError

    text = json.dumps(body).encode("utf-8", "surrogatepass")
    error: Any = None
    try:
        found = reader.read(text)
    except RequestError as caught:
        error = caught
    if error:
        assert error.status in {400, 413}
        assert len(orjson.loads(error.body("id"))["error"]) < 700
    else:
        tensor = body["inputs"][0]
        assert found.rows == tensor["shape"][0]
        assert len(found.buffers[0]) == 4 * COLUMNS * found.rows


@hypothesis.settings(max_examples=100, deadline=None, database=None)
@given(
    rows=st.lists(
        st.lists(
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            min_size=COLUMNS,
            max_size=COLUMNS,
        ),
        min_size=1,
        max_size=10,
    ),
    nested=st.booleans(),
)
def test_the_reader_keeps_every_value(
    reader: Any, rows: list[list[float]], nested: bool
) -> None:
    import numpy as np

    flat = [value for row in rows for value in row]
    body = request(
        [], COLUMNS, data=rows if nested else flat, shape=[len(rows), COLUMNS]
    )
    found = np.frombuffer(reader.read(orjson.dumps(body)).buffers[0], "<f4")
    assert found.tolist() == flat


def test_a_thousand_broken_requests(server: ModelServer, tiny: Tiny) -> None:
    source = random.Random(20261122)
    before = server.resident_bytes()
    for number in range(1000):
        raw = broken(source)
        answer = server.exchange_once(raw)
        if answer:
            status = int(answer[9:12])
            assert status in CODES | {200}, (raw, answer)
            assert len(answer) < 2000, (raw, answer)
        if number % 100 == 0:
            assert server.client.get("/healthz").is_success
    assert server.is_alive()
    assert server.resident_bytes() - before < 20_000_000
    right = server.client.post(
        "/infer", json=request(tiny.rows[:1].ravel().tolist(), COLUMNS)
    )
    score = right.json()["outputs"][1]["data"][1]
    assert math.isclose(score, tiny.probabilities()[0, 1], abs_tol=1e-6)
    assert not [line for line in server.logs() if line["level"] == "error"]


def broken(source: random.Random) -> bytes:
    """Return a right request with some of its bytes changed, cut or doubled."""
    body = bytearray(BODY)
    kind = source.randrange(6)
    if kind == 0:
        return HEAD % len(body) + source.randbytes(len(body))
    for _ in range(source.randint(1, 4)):
        place = source.randrange(len(body))
        action = source.randrange(3)
        if action == 0:
            body[place] = source.randrange(256)
        elif action == 1:
            del body[place : place + source.randint(1, 20)]
            body = body or bytearray(b"x")
        else:
            body[place:place] = body[place : place + source.randint(1, 20)]
    raw = bytearray(HEAD % len(body) + body)
    if kind == 1:  # break the head as well
        for _ in range(source.randint(1, 3)):
            raw[source.randrange(60)] = source.randrange(256)
    elif kind == 2:
        del raw[source.randrange(len(raw)) :]
    return bytes(raw)
