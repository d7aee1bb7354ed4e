"""The webhook receiver: what it keeps, what it refuses, what survives a restart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.alert_recorder import (
    FOLDER,
    Running,
    Store,
    add,
    kept,
    recorded,
    stored,
    webhook,
)
from tests.support.prometheus_text import samples
from toolchain import paths


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with Running(Store(tmp_path)) as made:
        yield made


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    url = f"http://127.0.0.1:{server.port}"
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


def test_the_oldest_go_where_all_are_of_one_alert() -> None:
    store = Store(None)
    add(store, *["old"] * stored.MAXIMUM_RECORDS)
    add(store, "new")
    assert len(kept(store)) == stored.MAXIMUM_RECORDS
    assert kept(store)[-1] == "new"


def test_what_fires_is_not_pushed_out_by_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored, "MAXIMUM_RECORDS", 4)
    store = Store(None)
    add(store, "Fires", "Ended", "Again")
    add(store, "Ended", status="resolved")
    add(store, "Again")
    # Of Ended and Again, what has been said since is said of them.
    assert kept(store) == ["Fires", "Again", "Ended", "Again"]
    add(store, "Noise", status="resolved")
    assert kept(store) == ["Fires", "Ended", "Again", "Noise"]
    add(store, *[f"Noise{number}" for number in range(9)], status="resolved")
    assert kept(store) == ["Fires", "Again", "Noise7", "Noise8"]


def test_many_alerts_of_one_name_push_out_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stored, "MAXIMUM_RECORDS", 4)
    store = Store(None)
    add(store, "A", "B")
    for number in range(50):
        message = webhook("Flood")
        message["alerts"][0]["labels"]["number"] = str(number)
        body = json.dumps(message).encode()
        store.add(recorded.parse(body, datetime.now(UTC)))
    assert kept(store) == ["A", "B", "Flood", "Flood"]
    assert b'"49"' in store.select("", "")[-1].text
    assert len(store._last) == 4, "what is forgotten is forgotten everywhere"


def test_records_are_bounded_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(None)
    add(store, "A", status="resolved")
    size = len(store.select("", "")[0].text)
    monkeypatch.setattr(stored, "MAXIMUM_BYTES", 3 * size)
    for name in "BCDE":
        add(store, name, status="resolved")
    assert kept(store) == ["C", "D", "E"]
    assert store._bytes == 3 * size


def test_a_group_that_every_record_repeats_is_bounded() -> None:
    """A body of 1 MiB would else become gigabytes of records."""
    message = webhook(*["A"] * 100)
    message["groupKey"] = "k" * 100_000
    with pytest.raises(recorded.Refusal, match="over 4194304 bytes") as caught:
        recorded.parse(json.dumps(message).encode(), datetime.now(UTC))
    assert caught.value.status == 413


def test_records_survive_a_restart_and_a_cut_off_line(
    client: httpx.Client, tmp_path: Path
) -> None:
    client.post("/alerts", json=webhook("A", "B"))
    with (tmp_path / "alerts.jsonl").open("a") as file:
        file.write('{"received": "2026-')
    again = Store(tmp_path)
    assert kept(again) == ["A", "B"]
    assert again.counts["unreadable"] == 1
    add(again, "C")
    add(again, "D")
    assert kept(Store(tmp_path)) == ["A", "B", "C", "D"]
    assert (tmp_path / "alerts.jsonl").read_bytes().count(b"\n") == 5


def test_files_are_rotated_and_old_ones_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MAXIMUM_FILE_BYTES", 100)
    store = Store(tmp_path)
    for number in range(6):
        add(store, f"A{number}")
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["alerts.jsonl.1", "alerts.jsonl.2"]
    assert kept(Store(tmp_path)) == ["A4", "A5"]


def test_a_full_disk_loses_no_alert(
    server: Running, client: httpx.Client, tmp_path: Path
) -> None:
    (tmp_path / "a-file").touch()
    server.store._path = tmp_path / "a-file" / "alerts.jsonl"  # even root cannot
    assert client.post("/alerts", json=webhook("A")).status_code == 200
    assert names(client.get("/alerts").json()) == ["A"]
    metrics = client.get("/metrics").text
    assert samples(metrics) == {
        ("alert_recorder_write_errors_total",): 1,
        ("alert_recorder_alerts_total", "firing"): 1,
        ("alert_recorder_alerts_total", "resolved"): 0,
        ("alert_recorder_connections_closed_total",): 0,
    }


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "alert_recorder"],
        env={
            **os.environ,
            "PYTHONPATH": f"{FOLDER}:{paths.ROOT}",
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
