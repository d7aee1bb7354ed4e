"""`slipway logs`: what it asks of a cluster, and a request followed to its record.

The monitor that answers is the real one's code, on a store of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from model_monitor import lookup
from model_monitor.config import Config
from model_monitor.store import Store
from model_monitor.store.ingest import ingest

from components.serving.models_settings import ModelsSettings
from slipway import stack_settings
from slipway.cluster.kube_api import KubeApi
from slipway.engine import stack_api
from slipway.logs.command import command
from slipway.logs.line import Line, parse
from slipway.logs.places import Place
from slipway.logs.reading import Span, follow
from tests.support.pod_server import Answer, PodServer

NOW = dt.datetime.now(dt.UTC)
PODS = "/api/v1/namespaces/{}/pods"
SELECTED = re.compile(r"labelSelector=([^&]+)")
STAMP = "2026-11-29T10:00:05.123456789Z"
PLANTED = "planted-4711"


def time(seconds: float) -> str:
    """So many seconds ago, as programs write it."""
    moment = NOW - dt.timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def pod(name: str, *containers: str, sidecar: str = "", restarts: int = 0) -> Any:
    begun = [{"name": it, "restartCount": restarts, "state": {}} for it in containers]
    sidecars = [{"name": sidecar, "restartPolicy": "Always"}] if sidecar else []
    done = {"name": "fetch"}
    return {
        "metadata": {"name": name},
        "spec": {
            "containers": [{"name": it} for it in containers],
            "initContainers": [*sidecars, done],
        },
        "status": {
            "containerStatuses": begun,
            "initContainerStatuses": [
                {"name": it["name"], "state": {}} for it in (*sidecars, done)
            ],
        },
    }


def gateway_line(identity: str, seconds: float, **fields: Any) -> str:
    said = {"request_id": identity, "status": 200, "path": "/infer", **fields}
    # Written late, as Envoy does.
    return f"{time(seconds - 8)} {json.dumps({'time': time(seconds), **said})}\n"


def server_line(identity: str, seconds: float, **fields: Any) -> str:
    said = {"level": "info", "message": "answered", "request_id": identity, **fields}
    return f"{time(seconds)} {json.dumps({'time': time(seconds), **said})}\n"


@dataclass
class Cluster:
    """Its API, and the monitor's store."""

    server: PodServer
    store: Store
    commands: list[Sequence[str]] = field(default_factory=list)

    def land(self, *records: dict[str, Any]) -> None:
        self.store.landing.mkdir(parents=True)
        lines = "".join(json.dumps(it) + "\n" for it in records)
        (self.store.landing / "predictions-a-0.jsonl").write_text(lines)

    def monitor(self, words: Sequence[str]) -> Answer:
        self.commands.append(words)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            parser = argparse.ArgumentParser()
            lookup.add_command(parser.add_subparsers())
            options = parser.parse_args(words[3:])
            status = lookup.run(Config(store=self.store.root, models=()), options)
        return status, said.getvalue().encode(), b""

    def takes_landed(self) -> None:
        with self.store.opened() as store:
            assert ingest(store).files == {"ingested": 1}


def record(identity: str, seconds: float, row: int = 0) -> dict[str, Any]:
    return {
        "id": identity,
        "row": row,
        "time": time(seconds),
        "model": "employment",
        "version": "1",
        "revision": "r1",
        "arm": "stable",
        "status": 200,
        "latency_seconds": 0.002,
        "features": {"AGEP": PLANTED},
        "decision": 1,
    }


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    with PodServer() as server:

        @contextmanager
        def api(_: str) -> Iterator[KubeApi]:
            with server.api() as found:
                yield found

        monkeypatch.setattr(stack_api, "of_stack", api)
        made = Cluster(server, Store(tmp_path / "store"))
        server.run = made.monitor
        server.lists[PODS.format("models")] = [
            pod("employment-a", "server", sidecar="log-shipper"),
            pod("employment-b", "server", restarts=1),
        ]
        server.lists[PODS.format("slipway-gateway")] = [
            pod("envoy-1", "envoy", "shutdown-manager")
        ]
        for key in [
            *[("employment-a", it, False) for it in ("server", "log-shipper")],
            *[("employment-b", "server", it) for it in (True, False)],
            ("envoy-1", "envoy", False),
        ]:
            server.logs[key] = ""
        yield made


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The models of the stack file."""
    image = f"registry.example.com/employment@sha256:{'0' * 64}"
    model: dict[str, Any] = {"model_image": image, "image": image}
    shipped = {"sink": "monitor", "file_seconds": 7, "shipper": image}
    values: dict[str, Any] = {
        "models": {
            "employment": {
                **model,
                "prediction_log": shipped,
                "monitor": {},
                "route": {"prefix": "/a/v1"},
            },
            "other-arm": {**model, "model": "employment", "prediction_log": shipped},
            "quiet": model,
        },
        "monitor": {"image": image},
    }

    def load(stack: str, model: type[ModelsSettings]) -> ModelsSettings:
        return model.model_validate(values)

    monkeypatch.setattr(stack_settings, "load", load)
    return values


def logs(*words: str) -> Result:
    return CliRunner().invoke(command, ["employment", *words])


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_request_is_followed_to_its_record(cluster: Cluster) -> None:
    server = cluster.server
    server.logs["envoy-1", "envoy", False] = (
        gateway_line("r-11", 60) + gateway_line("r-1", 60) + gateway_line("a-r-1", 60)
    )
    server.logs["employment-b", "server", True] = server_line("r-1", 59, revision="r1")
    server.logs["employment-a", "server", False] = server_line("r-2", 58) + (
        f"{time(57)} plain words about r-1, again\n{time(57)} and of r-1x\n"
    )
    cluster.land(record("r-1", 59.5), record("r-1", 59.5, row=1), record("r-2", 59.5))
    cluster.takes_landed()
    found = logs("--request-id", "r-1", "--json")
    assert found.exit_code == 0, found.output
    told = lines(found)
    assert [it["source"] for it in told] == [
        "gateway",
        *["record"] * 2,
        *["server"] * 2,
    ]
    assert [it["time"] for it in told] == sorted(it["time"] for it in told)
    assert told[0]["line"]["request_id"] == "r-1"
    assert told[0]["time"] == time(60)
    assert [it["line"]["row"] for it in told[1:3]] == [0, 1]
    assert told[3]["pod"] == "employment-b"
    assert told[4]["text"] == "plain words about r-1, again"
    assert PLANTED not in found.output
    assert found.stderr == ""
    shown = logs("--request-id", "r-1")
    assert [line.split()[1] for line in shown.stdout.splitlines()] == [
        it["source"] for it in told
    ]


def test_the_right_logs_are_asked_for(cluster: Cluster) -> None:
    logs("--request-id", "r-1", "--since", "2h")
    asked = cluster.server.asked
    selectors = [it[1] for path in asked if (it := SELECTED.search(path))]
    assert "component%3Dproxy" in selectors[0]
    assert "instance%20in%20%28employment%2Cother-arm%29" in selectors[1]
    read = [path for path in asked if "/log?" in path]
    assert len(read) == 5
    assert all(
        "sinceSeconds=7200" in path and "timestamps=true" in path for path in read
    )
    assert sum("previous=true" in path for path in read) == 1
    assert not any("shutdown-manager" in path or "fetch" in path for path in read)
    (words,) = cluster.commands
    day = (dt.datetime.now(dt.UTC) - dt.timedelta(hours=3)).date()
    assert list(words[3:]) == [
        *["find", "--model", "employment", "--from", str(day), "--limit", "100"],
        *["--", "r-1"],
    ]


def test_what_is_not_found_has_reasons(cluster: Cluster) -> None:
    found = logs("--request-id", "-r/1", "--since", "90s")
    assert found.exit_code == 1
    assert found.stdout == ""
    gateway, server, record_, error = found.stderr.splitlines()
    assert gateway.startswith(
        "note: gateway: not in the last 1.5 min of 1 pods; lines "
    )
    assert server.startswith("note: server: not in the last 1.5 min of 2 pods; a busy")
    assert "which has no predictions of these days; a server finishes" in record_
    assert "after 7 s" in record_
    assert "reads it within 60 s" in record_
    assert error == "error: -r/1 was found nowhere"


def test_a_record_that_waits_is_reported(cluster: Cluster) -> None:
    cluster.land(record("r-1", 5))
    found = logs("--request-id", "r-1")
    assert "record: in predictions-a-0.jsonl, which the monitor reads" in found.stderr


def test_more_rows_than_are_shown(cluster: Cluster) -> None:
    cluster.land(*[record("r-1", 5, row=it) for it in range(5)])
    cluster.takes_landed()
    found = logs("--request-id", "r-1", "--limit", "2", "--json")
    assert len(lines(found)) == 2
    assert "2 of 5 rows are shown (--limit)" in found.stderr


def test_one_place_that_fails_hides_no_other(cluster: Cluster) -> None:
    server = cluster.server
    server.logs["envoy-1", "envoy", False] = gateway_line("r-1", 60)
    server.refused["/api/v1/namespaces/models/pods/employment-a/log"] = 500
    server.refused["/api/v1/namespaces/models/pods/model-monitor-0/exec"] = 403
    found = logs("--request-id", "r-1", "--json")
    assert found.exit_code == 0
    assert [it["source"] for it in lines(found)] == ["gateway"]
    assert "models/employment-a/server cannot be read: GET" in found.stderr
    assert "the monitor cannot be asked: GET" in found.stderr
    assert "403 refused by the test" in found.stderr


def test_a_monitor_that_cannot_look_says_why(cluster: Cluster) -> None:
    cluster.server.run = lambda _: (1, b"", b"Traceback\nError: no memory\n")
    found = logs("--request-id", "r-1")
    assert "models/model-monitor-0 could not look: Error: no memory" in found.stderr


def test_without_a_monitor_or_a_sink_that_is_said(
    cluster: Cluster, settings: dict[str, Any]
) -> None:
    settings["models"]["other-arm"]["prediction_log"] = {}
    found = logs("--request-id", "r-1")
    assert "other-arm: prediction_log.sink is not monitor" in found.stderr
    del settings["models"]["employment"]["monitor"]
    settings["models"]["employment"]["prediction_log"] = {}
    found = logs("--request-id", "r-1")
    assert "record: no model of this stack has `monitor`" in found.stderr


def test_the_newest_lines_in_the_order_of_time(cluster: Cluster) -> None:
    server = cluster.server
    server.logs["employment-a", "server", False] = server_line("r-1", 9) + (
        server_line("r-3", 7)
    )
    server.logs["employment-b", "server", False] = server_line("r-2", 8)
    found = logs("--json")
    assert [it["line"]["request_id"] for it in lines(found)] == ["r-1", "r-2", "r-3"]
    read = [path for path in server.asked if "/log?" in path]
    assert all("tailLines=100" in path and "since" not in path for path in read)
    assert not any("envoy" in path for path in server.asked)
    assert len(lines(logs("--json", "--tail", "1"))) == 2


def test_lines_are_followed_until_the_containers_end(cluster: Cluster) -> None:
    server = cluster.server
    server.logs["employment-a", "server", False] = server_line("r-1", 9)
    found = logs("--follow", "--json", "--since", "1m")
    assert [it["line"]["request_id"] for it in lines(found)] == ["r-1"]
    assert any("follow=true" in path for path in server.asked)
    gone = Place("server", "models", "none", "server", has_previous=False)
    with server.api() as api:
        (error,) = follow(api, [gone], Span())
    assert "previous terminated container" in str(error)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "10"], "'10' is not a duration: write a whole number and s, m,"),
        (["--since", "0m"], "'0m' is not a duration"),
        (["--request-id", "two words"], "'two words' is not a request id"),
        (["--request-id", ""], "'' is not a request id"),
        (["--request-id", "a", "-f"], "cannot be given together"),
    ],
)
def test_wrong_words(cluster: Cluster, words: list[str], said: str) -> None:
    found = logs(*words)
    assert found.exit_code == 2
    assert said in found.stderr
    assert cluster.server.asked == []


def test_a_model_that_is_not_there(cluster: Cluster) -> None:
    found = CliRunner().invoke(command, ["unknown"])
    assert "models.lab has no model unknown; it has: employment, other" in found.stderr
    cluster.server.lists[PODS.format("models")] = []
    assert "employment has no pods in models" in logs().stderr


def test_a_line_cannot_take_the_terminal_over() -> None:
    planted = json.dumps({"message": "a\x1b[2Jb\nc\u202e", "path": "/x y"})
    line = parse(f"{STAMP} {planted}\n", "server", "p", "c")
    assert line.shown().endswith("a\\u001b[2Jb\\u000ac\\u202e /x y")
    assert parse(f"{STAMP} \x9b2J", "server", "p", "c").shown().endswith("\\u009b2J")


def test_times_of_lines() -> None:
    plain = parse(f"{STAMP} {{no json\n", "server", "p", "c")
    assert (plain.text, plain.time.microsecond) == ("{no json", 123456)
    own = '{"time": "2026-11-29T11:00:01.5+02:00", "message": "m"}'
    assert parse(f"{STAMP} {own}", "server", "p", "c").time.hour == 9
    bad = '{"time": 5}'
    assert parse(f"{STAMP} {bad}", "server", "p", "c").time == plain.time
    assert parse("no time at all", "server", "p", "c").text == "no time at all"


def test_whom_a_line_concerns() -> None:
    def line(**fields: Any) -> Line:
        return Line(NOW, "server", "p", "c", fields)

    assert line(request_id="a.b").concerns("a.b")
    assert not line(request_id="axb").concerns("a.b")
    assert line(message="request a.b, again").concerns("a.b")
    assert not line(message="request a.b-2").concerns("a.b")
    assert not line(rows=5).concerns("5")
