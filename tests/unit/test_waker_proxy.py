"""The waker's proxy: what is held, forwarded as it came, and refused."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest

from toolchain import paths

sys.path.insert(0, str(paths.ROOT / "images" / "waker"))

from waker import proxy
from waker.cluster import Found
from waker.keeper import Keeper
from waker.kept import Kept
from waker.proxy import Proxy
from waker.readings import reading
from waker.settings import Model

LOOPBACK = "127.0.0.1"


class Pod(BaseHTTPRequestHandler):
    """Answers with what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        # `self.path` has its leading slashes folded; the request's line has all.
        target = self.requestline.split(" ")[1]
        said = f"{target} {self.headers['x-of-caller']} {self.headers['host']} "
        content = said.encode() + body
        self.send_response(418)
        self.send_header("content-length", str(len(content)))
        self.send_header("x-of-pod", "yes")
        self.end_headers()
        self.wfile.write(content)

    do_OPTIONS = do_POST  # noqa: N815, the base class's name for it

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer((LOOPBACK, 0), Pod)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@dataclass
class Call:
    """One request by ASGI."""

    body: bytes = b"text"
    pieces: tuple[bytes, ...] = ()
    """The body as it comes; empty: at once."""
    sent: list[Any] = field(default_factory=list)
    leaves: asyncio.Event = field(default_factory=asyncio.Event)
    _given: int = 0

    async def receive(self) -> Any:
        pieces = self.pieces or (self.body,)
        if self._given < len(pieces):
            self._given += 1
            message = {"type": "http.request", "body": pieces[self._given - 1]}
            # Servers leave out what is the default.
            more = {"more_body": True} if self._given < len(pieces) else {}
            return message | more
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def text(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent[1:])


SCOPE: dict[str, Any] = {
    "method": "POST",
    "raw_path": b"/infer%2F",
    "query_string": b"a=b",
    "headers": [
        (b"host", b"models.example"),
        (b"x-of-caller", b"kept"),
        (b"connection", b"close"),
    ],
}


HEAD_BYTES = proxy._head_bytes(SCOPE)


@dataclass
class Hurried:
    """Stands for the loop that looks at the models."""

    times: int = 0

    def request_round(self) -> None:
        self.times += 1


class Waker:
    """A proxy with one model, which takes 100 bytes of bodies with these heads."""

    def __init__(
        self, port: int, wake_seconds: float = 5, requests: int = 2, heads: int = 2
    ) -> None:
        self.kept = Kept(
            Model(
                name="m",
                port=20000,
                port_name="http",
                pod_port=port,
                metrics_port=port,
                metrics_path="/metrics",
                replicas=1,
                after_seconds=60,
                wake_seconds=wake_seconds,
                buffer_requests=requests,
                buffer_bytes=100 + heads * HEAD_BYTES,
            )
        )
        self.hurried = Hurried()
        self.proxy = Proxy(cast("Keeper", self.hurried))

    def ready(self, *addresses: str) -> None:
        self.kept.see(Found(replicas=1, addresses=set(addresses)), 0)

    def begin(self, call: Call) -> asyncio.Task[None]:
        return asyncio.create_task(
            self.proxy(self.kept, SCOPE, call.receive, call.send)
        )


async def until(condition: Any) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 5 s")


def test_a_request_waits_for_a_pod_and_gets_there_as_it_came(port: int) -> None:
    async def run() -> None:
        waker, call = Waker(port), Call()
        work = waker.begin(call)
        await until(lambda: waker.hurried.times)
        assert len(waker.kept.buffer) == 1
        assert not call.sent
        waker.ready(LOOPBACK)
        await work
        assert call.status == 418
        assert call.text == b"/infer%2F?a=b kept models.example text"
        assert (b"x-of-pod", b"yes") in call.sent[0]["headers"]
        assert len(waker.kept.buffer) == 0
        await waker.proxy.close()

    asyncio.run(run())


def test_a_pod_that_cannot_be_reached_is_asked_again_elsewhere(port: int) -> None:
    async def run() -> None:
        waker, call = Waker(port), Call()
        waker.ready("127.0.0.2")  # nobody listens there
        work = waker.begin(call)
        await asyncio.sleep(0.1)
        assert not call.sent
        waker.ready(LOOPBACK)
        await work
        assert call.status == 418
        await waker.proxy.close()

    asyncio.run(run())


def test_what_does_not_fit_or_waits_in_vain_is_refused_with_its_reason(
    port: int,
) -> None:
    async def run() -> None:
        waker = Waker(port, wake_seconds=0.3, requests=1, heads=1)
        long, first, second = Call(body=b"x" * 101), Call(), Call()
        await waker.begin(long)
        work = waker.begin(first)
        await until(lambda: len(waker.kept.buffer))
        await waker.begin(second)
        await work
        assert [c.status for c in (long, first, second)] == [503] * 3
        assert b"bytes" in long.text
        assert b"requests" in second.text
        assert b"in time" in first.text
        assert all((b"retry-after", b"5") in c.sent[0]["headers"] for c in (long,))
        assert dict(waker.kept.counts) == {"bytes": 1, "requests": 1, "time": 1}
        await waker.proxy.close()

    asyncio.run(run())


def test_a_body_comes_in_pieces_and_may_be_as_long_as_the_bound(port: int) -> None:
    async def run() -> None:
        waker = Waker(port, heads=1)
        waker.ready(LOOPBACK)
        whole = Call(pieces=(b"a" * 60, b"", b"b" * 40))
        long = Call(pieces=(b"a" * 60, b"b" * 41))
        await waker.begin(whole)
        await waker.begin(long)
        assert whole.text.endswith(b" " + b"a" * 60 + b"b" * 40)
        assert long.status == 503
        assert dict(waker.kept.counts) == {"418": 1, "bytes": 1}
        await waker.proxy.close()

    asyncio.run(run())


def test_who_goes_before_its_body_is_whole_is_not_held(port: int) -> None:
    async def run() -> None:
        waker, call = Waker(port), Call(pieces=(b"a", b"b"))
        messages = iter(
            [
                {"type": "http.request", "body": b"a", "more_body": True},
                {"type": "http.disconnect"},
            ]
        )

        async def receive() -> Any:
            return next(messages)

        await waker.proxy(waker.kept, SCOPE, receive, call.send)
        assert not call.sent
        assert not waker.kept.counts
        assert waker.hurried.times == 0
        await waker.proxy.close()

    asyncio.run(run())


def test_a_pod_that_breaks_off_is_not_asked_again() -> None:
    """It may have got the request: nobody can tell."""

    async def run() -> None:
        taken = 0

        async def pod(reader: Any, writer: Any) -> None:
            nonlocal taken
            taken += 1
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(pod, LOOPBACK, 0)
        waker, calls = Waker(server.sockets[0].getsockname()[1]), [Call(), Call()]
        waker.ready(LOOPBACK)
        for call in calls:
            await waker.begin(call)
            assert call.status == 502
            assert b"broke off" in call.text
        assert taken == 2
        assert dict(waker.kept.counts) == {"502": 2}
        await waker.proxy.close()
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def test_what_cannot_be_reached_in_time_is_refused(port: int) -> None:
    async def run() -> None:
        waker, call = Waker(port, wake_seconds=0.5), Call()
        waker.ready("127.0.0.2")  # nobody listens there
        await waker.begin(call)
        assert call.status == 503
        assert b"in time" in call.text
        await waker.proxy.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("address", "host"), [("10.1.0.1", "10.1.0.1"), ("fd00::1", "[fd00::1]")]
)
def test_a_request_has_one_length_and_no_header_of_the_connection(
    address: str, host: str
) -> None:
    scope = {
        **SCOPE,
        "headers": [
            *SCOPE["headers"],
            (b"content-length", b"9"),
            (b"Transfer-Encoding", b"chunked"),
            (b"te", b"trailers"),
        ],
    }
    made = proxy._request(Waker(8080).kept, address, scope, b"text")
    names = [name.lower() for name, _ in made.headers.raw]
    assert sorted(names) == [b"content-length", b"host", b"x-of-caller"]
    assert made.headers["content-length"] == "4"
    assert str(made.url) == f"http://{host}:8080/"


def test_who_has_gone_leaves_its_place(port: int) -> None:
    async def run() -> None:
        waker, call = Waker(port), Call()
        work = waker.begin(call)
        await until(lambda: len(waker.kept.buffer))
        call.leaves.set()
        await work
        assert len(waker.kept.buffer) == 0
        assert not call.sent
        await waker.proxy.close()

    asyncio.run(run())


def test_readings_are_sums_and_another_kind_of_server_has_none() -> None:
    text = (
        "# TYPE model_requests_total counter\n"
        'model_requests_total{model="a b"} 3\nmodel_requests_total{model="c"} 4\n'
        'model_inflight{model="a b"} 1\nmodel_inflight_max 9\n'
    )
    found = reading(text)
    assert found
    assert (found.answered, found.inflight) == (7, 1)
    assert reading("model_requests_total 3\n") is None


def test_readings_take_any_label_and_time_and_pass_other_lines_by() -> None:
    text = (
        'model_requests_total{model="} 9"} 3 1700000000000\n'
        "what another exporter wrote {\n"
        'model_inflight{model="} 9"} 2\n'
    )
    found = reading(text)
    assert found
    assert (found.answered, found.inflight) == (3, 2)


@pytest.mark.parametrize("line", ["model_inflight", "model_inflight{a=1} 1"])
def test_a_reading_that_is_no_metric_is_none(line: str) -> None:
    with pytest.raises(ValueError, match="nvalid"):
        reading(f"model_requests_total 3\n{line}\n")
