"""The search for a server's capacity, and what it recommends."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, Self, cast

import pytest
import yaml
from click.testing import CliRunner

from components.serving.args.model_server_args import ModelServerArgs
from components.serving.models_settings import ModelsSettings
from slipway.bench import command as bench
from slipway.bench import recommend, usage
from slipway.bench.capacity import Capacity, Limits, Step, judge, search
from slipway.bench.report import Report
from slipway.bench.subject import (
    Asking,
    ReplicasChangedError,
    Subject,
    SubjectError,
    of_stack,
    of_url,
)
from tests.support.rendered import reference

PAGE = """\
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total {cpu}
process_resident_memory_bytes 104857600
model_latency_seconds_sum{{model="a",arm="stable"}} {latency}
model_latency_seconds_sum{{model="b",arm="stable"}} 1
"""


def report(rate: float, seconds: float, latency: float, failed: int = 0) -> Report:
    made = Report()
    number = int(rate * seconds)
    for n in range(number):
        made.begun(0.0)
        made.ended(n / rate, latency, "503" if n < failed else "200")
    return made


class Server:
    """A server that sustains `capacity` requests per second, and a clock beside it."""

    def __init__(self, capacity: float, *, fails: bool = False) -> None:
        self.capacity, self.fails = capacity, fails
        self.clock = 0.0
        self.rates: list[float] = []

    def now(self) -> float:
        return self.clock

    def sleep(self, seconds: float) -> None:
        self.clock += seconds

    def measure(self, rate: float, seconds: float) -> Step:
        self.clock += seconds
        self.rates.append(rate)
        over = rate > self.capacity
        found = report(
            rate, seconds, 1.0 if over else 0.01, 5 if over and self.fails else 0
        )
        used = usage.Used(rate / 1000, 100.0, rate * 0.01)
        return Step(rate, found, used, judge(found, 0.25))

    def search(self, **limits: Any) -> Capacity:
        found = Capacity()
        return search(
            self.measure, Limits(**limits), found, now=self.now, sleep=self.sleep
        )


@pytest.mark.parametrize("capacity", [12.0, 130.0, 999.0])
@pytest.mark.parametrize("fails", [False, True])
def test_the_highest_sustained_rate_is_found(capacity: float, fails: bool) -> None:
    server = Server(capacity, fails=fails)
    found = server.search(step_seconds=2)
    assert found.best is not None
    assert found.ended == ""
    assert 0.9 * capacity <= found.best.rate <= capacity
    assert found.held is not None
    assert found.held.rate == pytest.approx(0.7 * found.best.rate)
    assert len(server.rates) < 20


def test_a_hiccup_is_no_limit() -> None:
    server = Server(1000)
    hiccup = iter([True])

    def measure(rate: float, seconds: float) -> Step:
        if rate > 30 and next(hiccup, False):
            return Step(rate, report(rate, seconds, 1.0), None, "p99")
        return server.measure(rate, seconds)

    found = search(measure, Limits(), Capacity(), now=server.now, sleep=server.sleep)
    assert found.best is not None
    assert found.best.rate > 600


def test_a_server_slower_than_the_first_rate_is_met_from_above() -> None:
    found = Server(1.0).search(step_seconds=2)
    assert found.best is not None
    assert found.best.rate <= 1.0


def test_a_server_that_sustains_nothing_ends_the_search() -> None:
    server = Server(0.0)
    found = server.search(step_seconds=2)
    assert found.best is None
    assert found.held is None
    assert len(server.rates) <= 8
    assert recommend.recommendation(found, 1) == {}


def test_the_search_keeps_to_its_bounds() -> None:
    server = Server(math.inf)
    found = server.search(step_seconds=2, highest_rate=100)
    assert max(server.rates) == 100
    assert "the highest rate allowed" in found.ended
    slow = Server(math.inf)
    found = slow.search(step_seconds=10, total_seconds=30, highest_rate=1e9)
    assert "the time limit of 30 s was reached" in found.ended
    assert slow.clock <= 30 + 10 + 1
    assert found.best is not None


def test_a_late_generator_ends_the_search_and_its_step_is_no_capacity() -> None:
    server = Server(math.inf)

    def measure(rate: float, seconds: float) -> Step:
        step = server.measure(rate, seconds)
        if rate > 50:
            for _ in range(step.report.sent):
                step.report.begun(0.5)
        return step

    found = search(measure, Limits(), Capacity(), now=server.now, sleep=server.sleep)
    assert "late" in found.ended
    assert found.best is not None
    assert found.best.rate == 40
    assert recommend.recommendation(found, 1) == {}


def test_an_interrupted_search_leaves_what_it_has() -> None:
    server, found = Server(1000), Capacity()

    def measure(rate: float, seconds: float) -> Step:
        if rate > 30:
            raise KeyboardInterrupt
        return server.measure(rate, seconds)

    with pytest.raises(KeyboardInterrupt):
        search(measure, Limits(), found, now=server.now, sleep=server.sleep)
    assert [step.rate for step in found.steps] == [10, 20]


def test_judgement() -> None:
    assert judge(report(100, 1, 0.01), 0.25) == ""
    assert "p99 500 ms is over 250 ms" in judge(report(100, 1, 0.5), 0.25)
    assert "3 of 100 failed (503)" in judge(report(100, 1, 0.01, failed=3), 0.25)


def test_use_is_read_from_the_metrics_page() -> None:
    before = usage.read(PAGE.format(cpu=1.5, latency=10))
    after = usage.read(PAGE.format(cpu=4.5, latency=30))
    assert before
    assert after
    used = usage.between([before, before], [after, after], 10.0)
    assert used == usage.Used(0.3, 100.0, 2.0)
    # A replica came, or one started anew: its counters say nothing.
    assert usage.between([before], [after, after], 10.0) is None
    assert usage.between([after], [before], 10.0) is None
    assert usage.read("something 1\n") is None


def test_a_page_that_is_no_metrics_says_nothing_of_use() -> None:
    """Another program may be at /metrics, or a proxy that answers in its place."""
    page = PAGE.format(cpu=1.5, latency=10)
    assert usage.read(f"{page}<html>\n") is None
    # What follows a value is its time, and a label may hold any text.
    read = usage.read(f'{page}process_cpu_seconds_total{{a="}} 7"}} 1 1700000000000\n')
    assert read
    assert read.cpu_seconds == 2.5


def test_the_recommendation_is_what_the_settings_take() -> None:
    found = Server(500).search(step_seconds=2)
    settings = recommend.recommendation(found, 1)
    text = recommend.snippet(settings)
    args = ModelServerArgs(
        model_image=reference("a"), image=reference("b"), **yaml.safe_load(text)
    )
    assert found.held is not None
    assert args.scaling.signal == "inflight"
    assert args.scaling.inflight_per_replica == pytest.approx(
        0.01 * found.held.rate, abs=0.1
    )
    rate = float(args.scaling.rate_per_replica or 0)
    assert found.held.rate - 0.1 <= rate <= found.held.rate
    held = 1000 * found.held.rate / 1000
    assert held <= args.resources.cpu_request_millicores <= held + 10
    assert args.resources.cpu_limit_millicores > args.resources.cpu_request_millicores
    assert args.resources.memory_request_mib == 128  # 1.2 * 100, in steps of 16
    assert args.resources.memory_limit_mib == 160


def test_without_metrics_in_flight_follows_from_the_latencies() -> None:
    held = Step(100, report(100, 2, 0.2))
    found = Capacity(steps=[Step(140, report(140, 2, 0.2))], held=held)
    settings = recommend.recommendation(found, replicas=2)
    assert settings["scaling"] == {
        "signal": "inflight",
        "inflight_per_replica": 10.0,
        "rate_per_replica": 50.0,
    }
    assert settings.keys() == {"scaling"}


def test_load_on_another_host_must_be_meant() -> None:
    done = CliRunner().invoke(
        bench.command, ["model", "http://192.0.2.1/infer", "--body", __file__]
    )
    assert done.exit_code == 2
    assert "give --yes" in done.output


@pytest.mark.parametrize("text", ["employment", "ftp://127.0.0.1/"])
def test_what_is_no_subject_is_reported(text: str) -> None:
    with pytest.raises(SubjectError, match=r"models\.lab/employment"):
        of_url(text, Asking())


def test_what_is_no_header_is_reported_without_its_value() -> None:
    arguments = ["model", "http://127.0.0.1:1/", "--header", "secret"]
    done = CliRunner().invoke(bench.command, arguments)
    assert done.exit_code == 1
    assert "give --header 'NAME: VALUE'" in done.output
    assert "secret" not in done.output


class FakeApi:
    """A cluster with these pods: name and whether it is ready."""

    def __init__(self, **pods: str) -> None:
        self.pods, self.asked = pods, list[str]()
        self.is_listed = self.is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_closed = True

    def items(self, path: str) -> list[dict[str, Any]]:
        assert "labelSelector=app.kubernetes.io/instance%3Djob" in path
        self.is_listed = True
        return [
            {
                "metadata": {"name": name},
                "status": {"conditions": [{"type": "Ready", "status": ready}]},
            }
            for name, ready in self.pods.items()
        ]

    def text(self, path: str) -> str:
        self.asked.append(path)
        return PAGE.format(cpu=1, latency=1)


def stack(monkeypatch: pytest.MonkeyPatch, **args: Any) -> None:
    model = {"model_image": reference("a"), "image": reference("b"), **args}
    settings = ModelsSettings(models={"job": model})
    monkeypatch.setattr("slipway.stack_settings.load", lambda *_: settings)


def test_a_server_of_a_stack_is_asked_by_its_newest_path_and_read_by_its_pods(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stack(monkeypatch, routes=[{"prefix": "/job/v1"}, {"prefix": "/job/v2"}])
    api = FakeApi(b="True", a="True", c="False")
    body = tmp_path / "body.json"
    body.write_text("{}")
    asking = Asking(body, {"x-api-key": "k"})
    found = of_stack("models.x", "job", "http://127.0.0.1:1/", asking, cast("Any", api))
    assert found.url == "http://127.0.0.1:1/job/v2/infer"
    assert (found.replicas, found.headers) == (2, {"x-api-key": "k"})
    assert len(found.readings()) == 2
    base = "/api/v1/namespaces/models/pods"
    assert api.asked == [f"{base}/{pod}:8080/proxy/metrics" for pod in "ab"]
    api.pods["c"] = "True"
    with pytest.raises(ReplicasChangedError):
        found.check()
    with found:
        assert not api.is_closed
    assert api.is_closed


@pytest.mark.parametrize(
    ("name", "args", "told"),
    [
        ("other", {}, "no model other; it has job"),
        ("job", {}, "no route at the gateway"),
        ("job", {"route": {"prefix": "/j"}}, "no replica of job is ready"),
    ],
)
def test_what_cannot_be_measured_in_a_stack_is_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, args: dict[str, Any], told: str
) -> None:
    stack(monkeypatch, **args)
    api = FakeApi()
    with pytest.raises(SubjectError, match=told):
        of_stack("models.x", name, "http://127.0.0.1:1", Asking(), cast("Any", api))
    assert api.is_closed == api.is_listed


def test_an_interrupted_command_shows_what_it_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = Server(1000)

    def measure(_: Subject, rate: float, seconds: float, *__: Any) -> Step:
        if rate > 30:
            raise KeyboardInterrupt
        return server.measure(rate, seconds)

    closed: list[bool] = []
    subject = Subject(
        "http://127.0.0.1:1/infer", b"{}", list, 1, close=lambda: closed.append(True)
    )
    monkeypatch.setattr(bench, "_subject", lambda *_: subject)
    monkeypatch.setattr(bench, "measure", measure)
    monkeypatch.setattr("time.sleep", lambda _: None)
    done = CliRunner().invoke(bench.command, ["model", "x/y", "--json"])
    assert done.exit_code == 130
    assert closed == [True]
    said = json.loads(done.stdout)
    assert [step["rate"] for step in said["steps"]] == [10, 20]
    assert said["ended_early"] == "it was interrupted"


def test_a_search_ends_when_the_autoscaler_steps_in() -> None:
    numbers = iter([2, 2, 3])
    subject = Subject("http://127.0.0.1:1/", b"", list, 2, lambda: next(numbers))
    subject.check()
    subject.check()
    with pytest.raises(ReplicasChangedError, match="from 2 to 3"):
        subject.check()
    Subject("http://127.0.0.1:1/", b"", list, 1).check()
