"""The webhook receiver: what it keeps, what it refuses, what survives a restart."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from toolchain import paths

PROGRAM = paths.ROOT / "images" / "alert_recorder" / "alert_recorder.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("alert_recorder", PROGRAM)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


recorder = load()


def webhook(*names: str, status: str = "firing") -> dict[str, Any]:
    """A body as Alertmanager 0.28 sends it."""
    return {
        "version": "4",
        "groupKey": '{}:{alertname="A"}',
        "status": status,
        "receiver": "recorder",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "truncatedAlerts": 0,
        "alerts": [
            {
                "status": status,
                "labels": {"alertname": name, "model": "m"},
                "annotations": {"summary": "s"},
                "startsAt": "2026-11-23T00:00:00Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "",
                "fingerprint": "abc",
            }
            for name in names
        ],
    }


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Any]:
    made = recorder.Server(("127.0.0.1", 0), recorder.Store(tmp_path))
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.fixture
def client(server: Any) -> Iterator[httpx.Client]:
    url = f"http://127.0.0.1:{server.server_port}"
    with httpx.Client(base_url=url, trust_env=False, timeout=5) as found:
        yield found


def names(records: list[Any]) -> list[str]:
    return [record["labels"]["alertname"] for record in records]


def test_each_alert_of_a_message_is_one_record(client: httpx.Client) -> None:
    assert client.post("/alerts", json=webhook("A", "B")).json() == {"recorded": 2}
    client.post("/alerts", json=webhook("A", status="resolved"))
    records = client.get("/alerts").json()
    assert names(records) == ["A", "B", "A"]
    assert [r["status"] for r in records] == ["firing", "firing", "resolved"]
    assert records[0]["received"].endswith("+00:00")
    assert records[0]["annotations"] == {"summary": "s"}
    assert records[0]["receiver"] == "recorder"


def test_name_and_status_select(client: httpx.Client) -> None:
    client.post("/alerts", json=webhook("A", "B"))
    client.post("/alerts", json=webhook("A", status="resolved"))
    assert len(client.get("/alerts", params={"name": "A"}).json()) == 2
    found = client.get("/alerts", params={"name": "A", "status": "resolved"}).json()
    assert names(found) == ["A"]
    assert client.get("/alerts", params={"name": "none"}).json() == []


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "no list `alerts`"),
        (b'{"alerts": 3}', 400, "no list `alerts`"),
        (b'{"alerts": [{}]}', 400, "alerts[0]"),
        (b'{"alerts": [3]}', 400, "alerts[0]"),
        (b" " * ((1 << 20) + 1), 413, "1048577 bytes"),
    ],
)
def test_a_bad_body_is_refused_with_its_reason(
    client: httpx.Client, body: bytes, status: int, reason: str
) -> None:
    answer = client.post("/alerts", content=body)
    assert answer.status_code == status
    assert reason in answer.json()["error"]
    assert client.get("/alerts").json() == []


def test_a_body_of_unknown_length_is_refused(client: httpx.Client) -> None:
    answer = client.post("/alerts", content=iter([b"{}"]))
    assert answer.status_code == 411


def test_other_paths_and_methods_are_refused(client: httpx.Client) -> None:
    assert client.get("/").status_code == 404
    assert client.post("/healthz", json={}).status_code == 404
    assert client.delete("/alerts").status_code == 501
    assert client.get("/healthz").status_code == 200


def test_memory_is_bounded(server: Any, client: httpx.Client) -> None:
    record = recorder.parse(
        json.dumps(webhook("old")).encode(), recorder.datetime.now(recorder.UTC)
    )
    server.store.add(record * recorder.MAXIMUM_RECORDS)
    client.post("/alerts", json=webhook("new"))
    found = names(client.get("/alerts").json())
    assert len(found) == recorder.MAXIMUM_RECORDS
    assert found[-1] == "new"


def test_records_survive_a_restart_and_a_cut_off_line(
    client: httpx.Client, tmp_path: Path
) -> None:
    client.post("/alerts", json=webhook("A", "B"))
    with (tmp_path / "alerts.jsonl").open("a") as file:
        file.write('{"received": "2026-')
    again = recorder.Store(tmp_path)
    assert names(again.select("", "")) == ["A", "B"]
    assert again.counts["unreadable"] == 1


def test_files_are_rotated_and_old_ones_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAXIMUM_FILE_BYTES", 100)
    store = recorder.Store(tmp_path)
    for number in range(6):
        body = json.dumps(webhook(f"A{number}")).encode()
        store.add(recorder.parse(body, recorder.datetime.now(recorder.UTC)))
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["alerts.jsonl.1", "alerts.jsonl.2"]
    assert names(recorder.Store(tmp_path).select("", "")) == ["A4", "A5"]


def test_a_full_disk_loses_no_alert(
    server: Any, client: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    server.store._path = tmp_path / "a-file" / "alerts.jsonl"  # even root cannot
    assert client.post("/alerts", json=webhook("A")).status_code == 200
    assert names(client.get("/alerts").json()) == ["A"]
    metrics = client.get("/metrics").text
    assert "alert_recorder_write_errors_total 1\n" in metrics
    assert 'alert_recorder_alerts_total{status="firing"} 1\n' in metrics


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", str(PROGRAM)],
        env={
            **os.environ,
            "ALERT_RECORDER_PORT": "0",
            "ALERT_RECORDER_FOLDER": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    with process.stdout as lines:
        assert "listening" in json.loads(lines.readline())["message"]
        process.send_signal(signal.SIGTERM)
        said = [json.loads(line)["message"] for line in lines]
    assert said == ["stopping on SIGTERM", "stopped"]
    assert process.wait(timeout=10) == 0
