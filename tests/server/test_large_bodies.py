"""Large bodies are read in blocks: what is taken and what is said stays the same."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import weakref
from types import SimpleNamespace
from typing import Any, cast

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.model_server import SERVER

ROOT = SERVER.parents[1]
DATATYPES = ("FP32", "FP64", "FP16", "BF16", "INT64", "UINT8", "BOOL")
SHAPES = ((-1,), (-1, 3), (-1, -1), (-1, 2, 2))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies of some hundred bytes are cut as those of megabytes are."""
    from model_server import body_text, large_body, long_list

    monkeypatch.setattr(large_body, "LONG", 8)
    for module in (body_text, long_list):
        monkeypatch.setattr(module, "BLOCK_BYTES", 7)


def reader(*tensors: Any) -> Any:
    from model_server.manifest import Manifest, Tensor
    from model_server.protocol import Reader

    manifest = Manifest(
        name="tiny",
        version="1",
        revision="r",
        inputs=tensors,
        outputs=(Tensor("label", "INT64", (-1,)),),
        features=(),
        decision="label",
        score="",
        digests={},
    )
    return Reader(manifest, 100)


def told(reader: Any, body: bytes, *, large: bool) -> Any:
    """Return all that reading a body gives."""
    from model_server import protocol
    from model_server.errors import RequestError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(protocol, "LARGE_BYTES", 0 if large else 1 << 40)
        try:
            # A bytearray is emptied, bytes are not: both must read the same.
            read = reader.read(bytearray(body) if len(body) % 2 else body)
        except RequestError as error:
            return error.status, error.code, error.message, error.path
    buffers = [
        it if isinstance(it, bytes) else (it.shape, str(it.dtype), it.tobytes())
        for it in read.buffers
    ]
    return read.id, read.rows, buffers, read.wanted, read.timeout_seconds


def same(reader: Any, body: bytes) -> Any:
    old, new = (told(reader, body, large=large) for large in (False, True))
    assert new == old, body
    return new


numbers = (
    st.integers(-3, 300)
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e39, 1e5, 3.4e38, 65519.0, -0.0, 1e-320])
)
odd = st.sampled_from([None, True, False, "a", [1], [], {}, {"a": [1, 2, 3, 4, 5, 6]}])


@st.composite
def data(draw: st.DrawFn, shape: list[int]) -> Any:
    """Values of a shape, flat or nested, perhaps with something wrong."""
    values = draw(st.sampled_from([numbers, st.integers(0, 9), st.booleans()]))
    count = 1
    for size in shape:
        count *= size
    level: list[Any] = draw(st.lists(values, min_size=count, max_size=count))
    for _ in range(draw(st.integers(0, 2)) if draw(st.booleans()) else 0):
        level.insert(draw(st.integers(0, len(level))), draw(odd | numbers))
    if draw(st.booleans()):
        for size in reversed(shape[1:]):
            level = [level[at : at + size] for at in range(0, len(level), size)]
            if draw(st.integers(0, 9)) == 0:
                level.insert(draw(st.integers(0, len(level))), draw(odd | numbers))
    return level


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Any, bytes]:
    """A reader, and the text of a request that may be right for it."""
    from model_server.manifest import Tensor

    tensors, entries = [], []
    rows = draw(st.integers(1, 9))
    for name in draw(st.sampled_from(["X", "X", "XY"])):
        shape = draw(st.sampled_from(SHAPES))
        datatype = draw(st.sampled_from(DATATYPES))
        may_miss = datatype.startswith(("F", "BF")) and draw(st.booleans())
        tensors.append(Tensor(name, datatype, shape, missing_values=may_miss))
        sizes = [rows, *(draw(st.integers(1, 4)) if n < 0 else n for n in shape[1:])]
        entry = {"name": name, "datatype": datatype, "shape": sizes}
        entry["data"] = draw(data(sizes))
        if draw(st.integers(0, 9)) == 0:
            entry[draw(st.sampled_from(["shape", "name", "parameters", "x"]))] = draw(
                odd | st.lists(numbers, max_size=30)
            )
        entries.append(entry)
    document: Any = {"inputs": entries}
    if draw(st.booleans()):
        document = {"id": draw(st.sampled_from(["a", 'é\\"', ""])), **document}
    if draw(st.integers(0, 9)) == 0:
        document[draw(st.sampled_from(["id", "outputs", "parameters", "x"]))] = draw(
            st.lists(numbers | odd, max_size=60) | odd
        )
    indent = draw(st.sampled_from([None, None, 1, 20]))
    separators = draw(st.sampled_from([None, (",", ":")]))
    ascii_only = draw(st.booleans())
    text = json.dumps(
        document, indent=indent, separators=separators, ensure_ascii=ascii_only
    )
    return reader(*tensors), text.encode()


quiet = hypothesis.settings(
    max_examples=400,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


@quiet
@given(case=bodies())
def test_requests_of_every_form_read_the_same(case: tuple[Any, bytes]) -> None:
    same(*case)


@quiet
@given(case=bodies(), seed=st.integers(0, 2**32))
def test_broken_json_is_reported_with_the_same_words(
    case: tuple[Any, bytes], seed: int
) -> None:
    found, text = case
    same(found, broken(random.Random(seed), text))


def broken(source: random.Random, text: bytes) -> bytes:
    """Return a text with one to three of its bytes changed, cut out or put in."""
    body = bytearray(text)
    for _ in range(source.randint(1, 3)):
        place = source.randrange(len(body))
        action = source.randrange(3)
        if action == 0:
            body[place] = source.choice(b'[]{},:"0-.e tn\n\\\xc3\xff')
        elif action == 1 and len(body) > 30:
            del body[place : place + source.randint(1, 9)]
        else:
            body[place:place] = source.choice(
                [b"]", b"[", b",", b"1", b" " * 20, b"NaN", b"],[", b"[1]", b"}", b"\n"]
            )
    return bytes(body)


ODD_BODIES = [
    b"[" + b"1," * 50 + b"2]",
    b"[" * 1030 + b"1" + b"]" * 1030,
    b'{"inputs":' + b" " * 70 + b'[{"name":"X" ,\n"datatype":"FP32"}]}',
    (
        b'{"inputs":[{"name":"X","datatype":"FP32","shape":[1,  \n\n   3],"data":[1,2,3'
        b']}],"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[1,2,3x]}]}'
    ),
    (
        b'{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[1,2,3x],'
        b'"data":[1,2,3,4,5,6]}]}'
    ),
    (
        b'{"inputs":[{"name":"X","datatype":"FP32","shape":[3,3],"data":[[1,2,3],[4,5,6]'
        b"],[7,8,9]]}]}"
    ),
    b'{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[          ]}]}',
    b'{"inputs":[{"name":"X","datatype":"FP32","shape":[1,3],"data":[1,2,3,     ]}]}',
    b'{"id":[{"a":[1,2,3,4,5,6,7,8]}],"inputs":1}',
    b'{"id":"' + b"\\\\" * 40 + b'\\"","inputs":[1,2,3,4,5,6,7,8,9]}',
    b'{"a":1,[1,2,3,4,5,6,7,8]:2}',
    b"{[1,2,3,4,5,6,7,8]:2}",
    b'{"a":[1,2,3,4,5,6,7,8,9',
    b'{"\xff":[1,2,3,4,5,6,7,8x]}',
    b"1" * 90,
    b" " * 90,
]


@pytest.mark.parametrize("body", ODD_BODIES)
def test_odd_bodies_read_the_same(body: bytes) -> None:
    from model_server.manifest import Tensor

    same(reader(Tensor("X", "FP32", (-1, 3))), body)


def test_what_is_long_beside_the_numbers_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Objects of anything else could take all memory; texts of a model may be long."""
    from model_server import large_body
    from model_server.manifest import Tensor

    monkeypatch.setattr(large_body, "DOCUMENT_BYTES", 0)
    body = b'{"inputs":[' + b"{}," * 1000 + b"{}]}"
    numbers, texts = (reader(Tensor("X", it, (-1, 3))) for it in ("FP32", "BYTES"))
    for odd in (body, b'"' + b'\\"' * 1500, b'{"id":"' + b"a" * 3000):
        status, code, message, path = told(numbers, odd, large=True)
        assert (status, code, path) == (400, "invalid_request", "$")
        assert "may have 2048 beside the numbers of its tensors" in message
    assert told(texts, body, large=True) == told(texts, body, large=False)


@pytest.mark.parametrize(
    ("asked", "most", "found"),
    [
        ("FP64 1 16 flat", 4.2, "83886 rows"),
        ("FP64 0.12345 4 nested", 4.0, "5242 rows"),
        ("FP32 1.25 4 flat", 4.0, "8388 rows"),
        ("UINT8 7 4 nested", 4.0, "20971 rows"),
        ("FP32 1.25 4 broken", 4.0, "not JSON: unexpected character, expected"),
        ("FP32 [] 4 junk", 4.0, "inputs[0].name: null is not one of the model"),
        ("FP32 {} 4 junk", 4.0, "$: a body of over 65536 bytes may have"),
    ],
)
def test_memory_follows_the_body(asked: str, most: float, found: str) -> None:
    """Objects for each number would take 13 to 18 times the body."""
    environment = {"PYTHONPATH": f"{ROOT}:{SERVER}", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-m", "tests.support.body_memory", *asked.split()]
    ran = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    )
    times, _, said = ran.stdout.partition(" ")
    assert said.startswith(found)
    assert float(times) <= most


def test_a_body_is_let_go_while_its_request_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from model_server.app import App

    class Body(bytearray):
        """A body that can be watched."""

    watched: list[weakref.ref[Body]] = []

    async def received(*_: object) -> Body:
        body = Body(b"{}")
        watched.append(weakref.ref(body))
        return body

    async def is_held() -> bool:
        app = App(cast("Any", SimpleNamespace(infer=lambda *_: None)))
        monkeypatch.setattr(app, "_body", received)
        waiting = asyncio.ensure_future(
            app._infer(cast("Any", None), {}, cast("Any", None))
        )
        await asyncio.sleep(0)
        gone = watched[0]() is None
        waiting.cancel()
        return not gone

    assert not asyncio.run(is_held())
