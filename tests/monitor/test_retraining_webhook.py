"""Requests to retrain at a webhook: a real receiver that is slow, broken or dead."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from model_monitor import config
from model_monitor.config import Config, Model
from model_monitor.exchange import address
from model_monitor.retraining import stored, webhook
from model_monitor.retraining.requests import RetrainingRequests
from model_monitor.retraining.settings import Retraining
from model_monitor.retraining.stored import State, Stored
from model_monitor.store import Store


@dataclass
class Receiver:
    """Answers with `statuses`, one after the other, and then with the last one."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [202])
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    drip_seconds: float = 0.0
    """Between the bytes of an answer that never ends; 0: it answers at once."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.seen.append((dict(self.headers), body))
            if found.drip_seconds:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                with contextlib.suppress(OSError):
                    while not ended.wait(found.drip_seconds):
                        self.wfile.write(b".")
                return
            status = found.statuses[0]
            if len(found.statuses) > 1:
                del found.statuses[0]
            self.send_response(status)
            if status in {301, 307}:
                self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/train?by=monitor"
    try:
        yield found
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Clock:
    """Seconds since 1970 as a test says."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as opened:
        yield opened


def put(store: Store, request_id: str = "m-r1-2026-11-29") -> Stored:
    """A request that waits for the webhook."""
    content = {
        "id": request_id,
        "created": "2026-11-29T12:00:00Z",
        "model": "m",
        "revision": "r1",
        "causes": ["concept"],
    }
    return stored.write(store, content).with_state(State({"concept": None}))


def sender(
    store: Store, url: str, clock: Clock, token: Path | None = None
) -> RetrainingRequests:
    settings = Retraining(webhook=address(url), token=token)
    return RetrainingRequests(
        Config(store.root, (Model("m"),), retraining=settings), store, clock
    )


def delivery(store: Store) -> stored.Delivery:
    (found,) = stored.read_all(store)
    assert found.state
    return found.state.delivery


def test_a_request_is_sent_once_with_its_id_and_token(
    store: Store, receiver: Receiver, clock: Clock, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("secret-1\n")
    request = put(store)
    one = sender(store, receiver.url, clock, token)
    for _ in range(3):
        one.deliver()
        clock.now += 86_400
    ((headers, body),) = receiver.seen
    assert body == request.path.read_bytes()
    assert json.loads(body)["id"] == "m-r1-2026-11-29"
    assert headers["Idempotency-Key"] == '"m-r1-2026-11-29"'
    assert headers["Authorization"] == "Bearer secret-1"
    assert headers["Content-Type"] == "application/json"
    found = delivery(store)
    assert (found.attempts, found.delivered, found.answer) == (1, 1_000_000.0, "202")
    assert "secret" not in "".join(
        it.read_text() for it in (store.root / "retraining").iterdir()
    )


def test_a_refusal_is_tried_again_later_each_time_and_then_taken(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    receiver.statuses = [500, 404, 307, 401, 200]
    put(store)
    waits = []
    for _ in range(5):
        # A monitor that starts anew knows when the next attempt is due.
        one = sender(store, receiver.url, clock)
        one.deliver()
        seen = len(receiver.seen)
        one.deliver()
        assert len(receiver.seen) == seen, "it must wait first"
        found = delivery(store)
        waits.append(found.next_attempt - clock.now)
        clock.now = found.next_attempt
    assert waits[:4] == [60, 120, 240, 480]
    assert [headers["Idempotency-Key"] for headers, _ in receiver.seen] == [
        '"m-r1-2026-11-29"'
    ] * 5
    assert delivery(store).answer == "200"
    assert delivery(store).delivered is not None


def test_the_longest_wait_is_bounded() -> None:
    waits = [webhook.backoff_seconds(it) for it in (1, 2, 9, 10, 1000)]
    assert waits == [60, 120, 15_360, 21_600, 21_600]


def test_a_dead_receiver_fails_nothing(store: Store, clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    put(store)
    sender(store, f"http://127.0.0.1:{port}/", clock).deliver()
    found = delivery(store)
    assert (found.attempts, found.delivered) == (1, None)
    assert "refused" in found.answer


@pytest.mark.parametrize("drip_seconds", [0.05, 60.0], ids=["drips", "says nothing"])
def test_a_slow_receiver_holds_a_pass_up_for_seconds_only(
    store: Store,
    receiver: Receiver,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    drip_seconds: float,
) -> None:
    monkeypatch.setattr(webhook, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(webhook, "ATTEMPT_SECONDS", 1.0)
    receiver.drip_seconds = drip_seconds
    put(store)
    ended = threading.Event()

    def deliver() -> None:
        sender(store, receiver.url, clock).deliver()
        ended.set()

    threading.Thread(target=deliver, daemon=True).start()
    assert ended.wait(30), "the attempt never ends"
    assert receiver.seen
    assert delivery(store).attempts == 1
    assert delivery(store).delivered is None


def test_a_missing_token_is_reported_and_nothing_is_sent(
    store: Store, receiver: Receiver, clock: Clock, tmp_path: Path
) -> None:
    put(store)
    token = tmp_path / "token"
    sender(store, receiver.url, clock, token).deliver()
    assert receiver.seen == []
    assert str(token) in delivery(store).answer
    token.write_text("two words")
    clock.now += 60
    sender(store, receiver.url, clock, token).deliver()
    assert receiver.seen == []
    assert "holds no token" in delivery(store).answer
    assert "two words" not in delivery(store).answer


def test_what_is_over_is_not_sent(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    put(store).with_state(State({"concept": "2026-11-30"}, ended=("concept",)))
    sender(store, receiver.url, clock).deliver()
    assert receiver.seen == []


def test_one_pass_sends_one_and_the_next_the_others(
    store: Store, receiver: Receiver, clock: Clock
) -> None:
    receiver.statuses = [500, 200]
    for number in range(3):
        put(store, f"m-r{number}-2026-11-29")
    one = sender(store, receiver.url, clock)
    for expected in (1, 2, 3, 3):
        one.deliver()
        assert len(receiver.seen) == expected
    keys = [headers["Idempotency-Key"] for headers, _ in receiver.seen]
    assert len(set(keys)) == 3


def test_a_kill_between_answer_and_note_sends_the_same_id_again(
    store: Store, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least once: the receiver tells by the id that it has the request."""
    put(store)
    with monkeypatch.context() as patch:

        def cut(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(Stored, "with_state", cut)
        with pytest.raises(KeyboardInterrupt):
            sender(store, receiver.url, clock).deliver()
    sender(store, receiver.url, clock).deliver()
    first, second = receiver.seen
    assert first[0]["Idempotency-Key"] == second[0]["Idempotency-Key"]
    assert first[1] == second[1]


def test_without_a_webhook_nothing_is_sent(store: Store) -> None:
    put(store)
    RetrainingRequests(Config(store.root, (Model("m"),)), store).deliver()
    assert delivery(store).attempts == 0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("ftp://host/", "has not the scheme http or https"),
        ("http:///path", "names no host"),
        ("https://user:x@host/", "has a user or a fragment"),
        ("http://host/#top", "has a user or a fragment"),
        ("http://host:port/", "is not a URL"),
        ("http://host/a b", "has a space"),
        (7, "is not text"),
    ],
)
def test_what_is_no_address(value: object, reason: str) -> None:
    problems: list[str] = []
    config.parse({"store": "/s", "retraining": {"webhook_url": value}}, problems)
    (problem,) = problems
    assert problem.startswith(f"retraining.webhook_url={value!r}: {reason}")


def test_settings_of_the_file() -> None:
    problems: list[str] = []
    raw = {
        "webhook_url": "https://train.example:8443/hook?x=1",
        "token": "/run/token",
        "repeat_days": 7,
    }
    found = config.parse({"store": "/s", "retraining": raw}, problems).retraining
    assert problems == []
    assert found.webhook == address("https://train.example:8443/hook?x=1")
    assert found.webhook
    assert (found.webhook.host, found.webhook.port) == ("train.example", 8443)
    assert found.webhook.path == "/hook?x=1"
    assert (found.token, found.repeat_days) == (Path("/run/token"), 7)
    config.parse({"store": "/s", "retraining": {"token": "/t"}}, problems)
    assert "there is no webhook to give it to" in problems[0]
