"""The waker's readings of /metrics: what one pod answers concerns no other."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator

import httpx
import pytest

from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "waker"))

from waker import __main__ as program
from waker import readings
from waker.idleness import Reading
from waker.settings import Model

MODEL = Model("m", 8000, "http", 8080, 8080, "/metrics", 1, 60, 60, 10, 1000)
WELL = "model_requests_total 3\nmodel_inflight 0\n"
ODD = [
    f"model_requests_total {'9' * 400}\nmodel_inflight 0\n",  # OverflowError
    'model_inflight{="1"} 0\n',  # IndexError in some versions of the parser
    "model_inflight{\n",
    "model_inflight 1\xff\n",
    "model_inflight 0\n" * (readings.MOST_LINES + 1),
    f'model_inflight{{a="{"b" * readings.LONGEST_LINE}"}} 0\n',
    WELL + "#" * readings.MOST_BYTES,
]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow this machine is, no page is given up for its time."""
    monkeypatch.setattr(readings, "READ_SECONDS", 60.0)


class Page(httpx.AsyncByteStream):
    """A page that is read as it comes."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


class Endless(httpx.AsyncByteStream):
    """A page whose lines come one by one, and never end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"# more\n"
            await asyncio.sleep(0)


def read(*odd: httpx.AsyncByteStream) -> dict[str, Reading | None]:
    """A round over a pod that answers well and others that answer so."""
    contents: dict[str, httpx.AsyncByteStream] = {"10.0.0.1": Page(WELL.encode())}
    contents |= {f"10.0.1.{number}": one for number, one in enumerate(odd)}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=contents[request.url.host])

    async def run() -> dict[str, Reading | None]:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport) as client:
            return await readings.read(client, MODEL, contents)

    return asyncio.run(run())


@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_an_odd_page_is_a_failed_reading_and_others_are_read(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = read(Page(text.encode("latin-1")))
    assert found == {"10.0.0.1": Reading(3, 0), "10.0.1.0": None}
    (line,) = capsys.readouterr().out.splitlines()
    told = json.loads(line)
    assert (told["level"], told["model"]) == ("warning", "m")
    assert told["address"] == "10.0.1.0"
    assert len(told["message"]) <= 200


def test_any_error_of_the_parser_is_a_failed_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def parse(_: str) -> None:
        raise IndexError

    assert read() == {"10.0.0.1": Reading(3, 0)}
    monkeypatch.setattr(readings, "text_string_to_metric_families", parse)
    assert read() == {"10.0.0.1": None}


def test_a_page_that_does_not_end_is_a_failed_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readings, "READ_SECONDS", 0.3)
    monkeypatch.setattr(readings, "MOST_BYTES", 1 << 40)
    assert read(Endless())["10.0.1.0"] is None


def test_what_ended_the_rounds_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    async def broken() -> None:
        raise OverflowError("too large")

    async def run() -> None:
        rounds = asyncio.create_task(broken())
        await asyncio.wait({rounds})
        program._log_failure(rounds)

    asyncio.run(run())
    told = json.loads(capsys.readouterr().out)
    assert told["level"] == "error"
    assert told["message"] == "the rounds ended: OverflowError('too large')"
