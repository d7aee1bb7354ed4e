"""Reports of experiments that the monitor renews: by what the controller tells."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from model_monitor.config import Config, parse
from model_monitor.cycle import Cycle
from model_monitor.exchange import Patience
from model_monitor.experiments import routes, stored
from model_monitor.experiments.counting import count
from model_monitor.experiments.report import report
from model_monitor.experiments.stored import ExperimentReports
from model_monitor.receiver import HANDLERS
from model_monitor.store import Store
from starlette.applications import Starlette

from tests.monitor.test_experiment_report import PLAN, put

TIMES = ("started", "until", "now")
EXPERIMENT = {
    "plan": {name: it for name, it in asdict(PLAN).items() if name not in TIMES},
    "started": PLAN.started,
    "ended": PLAN.until,
    "uncounted": "",
}


@dataclass
class Controller:
    """A rollout controller over HTTP."""

    port: int = 0
    status: int = 200
    body: bytes = b""
    drip_seconds: float = 0.0
    seen: list[str] = field(default_factory=list)

    def tell(self, **changes: Any) -> None:
        self.body = json.dumps(
            {"rollout": {"experiment": EXPERIMENT | changes}}
        ).encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "store").opened() as found:
        yield found


@pytest.fixture
def controller() -> Iterator[Controller]:
    found = Controller()
    found.tell()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.seen.append(self.path)
            self.send_response(found.status)
            self.send_header("content-length", str(len(found.body)))
            self.end_headers()
            for byte in found.body if found.drip_seconds else ():
                time.sleep(found.drip_seconds)
                try:
                    self.wfile.write(bytes([byte]))
                except OSError:
                    return
            if not found.drip_seconds:
                self.wfile.write(found.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


def config(store: Store, controller: Controller, **changes: Any) -> Config:
    problems: list[str] = []
    content = {
        "store": str(store.root),
        "models": [{"name": "m"}],
        "experiments": {
            "controller_url": f"http://127.0.0.1:{controller.port}",
            "servers": ["s"],
        },
    }
    found = parse(content | changes, problems)
    assert problems == []
    return found


@dataclass
class Clock:
    """The monotonic clock of the reports."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def reports(store: Store, controller: Controller, clock: Clock) -> ExperimentReports:
    settings = config(store, controller)
    return ExperimentReports(settings, store, lambda: PLAN.now, clock)


def nothing() -> None:
    """A step that is not stopped."""


def test_the_report_is_that_of_the_command(
    store: Store, controller: Controller
) -> None:
    put(store, gain=0.1)
    reports(store, controller, Clock()).run(nothing)
    found = stored.read(store, "s")
    wanted = json.loads(json.dumps(report(PLAN, count(store, PLAN))))
    assert found == {"computed": PLAN.now, "report": wanted, "reason": ""}
    assert wanted["verdict"] == "better"
    assert controller.seen == ["/rollouts/s"]


def test_it_is_renewed_after_its_time_and_not_before(
    store: Store, controller: Controller
) -> None:
    clock = Clock()
    made = reports(store, controller, clock)
    made.run(nothing)
    clock.now = stored.RENEW_SECONDS - 1
    made.run(nothing)
    assert len(controller.seen) == 1
    clock.now += 1
    made.run(nothing)
    assert len(controller.seen) == 2


def test_a_report_that_takes_long_is_made_less_often(
    store: Store, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()

    def slow(*_: Any) -> Any:
        clock.now += 100
        return count(store, PLAN)

    monkeypatch.setattr(stored, "count", slow)
    made = reports(store, controller, clock)
    made.run(nothing)
    clock.now = 100 * stored.MOST_SHARE - 1
    made.run(nothing)
    assert len(controller.seen) == 1
    clock.now += 1
    made.run(nothing)
    assert len(controller.seen) == 2


def test_while_shares_stand_it_counts_until_now(
    store: Store, controller: Controller
) -> None:
    controller.tell(ended=None)
    reports(store, controller, Clock()).run(nothing)
    found = stored.read(store, "s")
    assert found
    assert found["report"]["until"] == PLAN.now


def change(**changes: Any) -> Callable[[Controller], None]:
    return lambda it: it.tell(**changes)


def answer(body: bytes, status: int = 200) -> Callable[[Controller], None]:
    def set_to(it: Controller) -> None:
        it.body, it.status = body, status

    return set_to


PLAIN = EXPERIMENT["plan"]
assert isinstance(PLAIN, dict)
FAULTS = {
    "a fault": (answer(b"", 500), "answers with status 500"),
    "a redirect": (answer(b"", 302), "answers with status 302"),
    "not found": (answer(b"", 404), "answers with status 404"),
    "no JSON": (answer(b"<p>"), "answers in a form that is not known"),
    "deep JSON": (answer(b"[" * 100_000), "answers in a form that is not known"),
    "a list": (answer(b"[1]"), "answers in a form that is not known"),
    "too much": (answer(b" " * (stored.MOST_BYTES + 1)), "does not answer: ValueError"),
    "no look yet": (answer(b"null"), "knows no experiment of s"),
    "a rollout": (answer(b'{"rollout": {"experiment": null}}'), "knows no experiment"),
    "no settings": (answer(b'{"rollout": null}'), "knows no experiment of s"),
    "no plan": (change(plan=None), "gives no plan"),
    "half a plan": (change(plan={"model": "m"}), "gives no plan"),
    "a text for a number": (change(plan=PLAIN | {"share": "x"}), "gives no plan"),
    "another text": (change(plan=PLAIN | {"alpha": "x"}), "could not be counted"),
    "another model": (change(plan=PLAIN | {"model": "n"}), "n: no such model"),
    "times as texts": (change(started="1"), "gives no plan"),
    "times backwards": (change(started=PLAN.until + 1), "not in order"),
    "a time to come": (change(ended=PLAN.now + 1), "not in order"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_the_controller_does_not_tell_leaves_the_report_of_before(
    store: Store, controller: Controller, fault: str
) -> None:
    put(store)
    clock = Clock()
    made = reports(store, controller, clock)
    made.run(nothing)
    before = stored.read(store, "s")
    assert before
    assert before["report"]
    spoil, reason = FAULTS[fault]
    spoil(controller)
    clock.now += stored.RENEW_SECONDS
    made.run(nothing)
    found = stored.read(store, "s")
    assert found
    assert reason in found["reason"]
    assert found == before | {"reason": found["reason"]}


def test_a_controller_that_drips_holds_a_pass_up_for_seconds_only(
    store: Store, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PATIENCE", Patience(0.5, 1.0))
    controller.drip_seconds = 0.05
    started = time.monotonic()
    reports(store, controller, Clock()).run(nothing)
    assert time.monotonic() - started < 20
    found = stored.read(store, "s")
    assert found
    assert found["report"] is None
    assert "does not answer" in found["reason"]


def test_an_experiment_that_begins_anew_has_no_report_of_before(
    store: Store, controller: Controller
) -> None:
    clock = Clock()
    made = reports(store, controller, clock)
    made.run(nothing)
    controller.tell(uncounted="b has not got its share", started=None)
    clock.now += stored.RENEW_SECONDS
    made.run(nothing)
    found = stored.read(store, "s")
    assert found
    assert (found["report"], found["reason"]) == (None, "b has not got its share")


def test_a_store_that_cannot_be_read_ends_no_pass(
    store: Store, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Any:
        raise duckdb.IOException("gone")

    monkeypatch.setattr(stored, "count", fail)
    Cycle(config(store, controller), store).run()
    found = stored.read(store, "s")
    assert found
    assert found["reason"] == "the experiment could not be counted"


def get(store: Store, settings: Config, server: str) -> httpx.Response:
    app = Starlette(routes=routes.routes(settings, store), exception_handlers=HANDLERS)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://m") as one:
            return await one.get(f"/api/v1/experiments/{server}")

    return asyncio.run(ask())


def test_readers_get_the_newest_report(store: Store, controller: Controller) -> None:
    settings = config(store, controller)
    assert get(store, settings, "s").json() == routes.NOT_YET
    Cycle(settings, store).run()
    found = get(store, settings, "s")
    assert found.json() == stored.read(store, "s")
    assert found.headers["cache-control"] == "no-store"
    for other in ("t", "..%2Fs", "s.json"):
        assert get(store, settings, other).status_code == 404


def test_without_the_section_nobody_is_asked(
    store: Store, controller: Controller
) -> None:
    settings = config(store, controller, experiments={**SECTION})
    assert settings.experiments
    problems: list[str] = []
    plain = parse({"store": str(store.root), "models": [{"name": "m"}]}, problems)
    Cycle(plain, store).run()
    assert controller.seen == []
    assert get(store, plain, "s").status_code == 404


SECTION = {"controller_url": "http://rollout-controller:9479", "servers": ["a", "a"]}


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({}, "experiments.controller_url"),
        (SECTION | {"controller_url": "ftp://a"}, "experiments.controller_url"),
        (SECTION | {"servers": []}, "experiments.servers"),
        (SECTION | {"servers": ["../a"]}, "experiments.servers"),
        (SECTION | {"server": "a"}, "experiments.server"),
    ],
)
def test_what_is_wrong_in_the_section_is_said(
    store: Store, section: dict[str, Any], place: str
) -> None:
    problems: list[str] = []
    content = {"store": str(store.root), "models": [], "experiments": section}
    parse(content, problems)
    assert any(it.startswith(place) for it in problems), problems
