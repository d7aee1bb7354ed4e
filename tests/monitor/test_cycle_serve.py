"""The service as a process: logs and labels come by HTTP, figures go to a scrape."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from toolchain import paths

PATIENCE_SECONDS = 60.0


@dataclass
class Service:
    """A running monitor."""

    process: subprocess.Popen[str]
    client: httpx.Client
    told: Path

    def log(self) -> list[dict[str, Any]]:
        """What it wrote to standard error: one JSON object a line."""
        return [json.loads(line) for line in self.told.read_text().splitlines()]

    def values(self) -> dict[str, float]:
        """The samples of a scrape without labels, and those of model m by window."""
        text = self.client.get("/metrics").raise_for_status().text
        found = {}
        for family in text_string_to_metric_families(text):
            for it in family.samples:
                rest = [
                    it.labels[key]
                    for key in ("metric", "window", "result")
                    if key in it.labels
                ]
                found[" ".join([it.name, *rest])] = it.value
        return found


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not so within {PATIENCE_SECONDS} s")


def start(folder: Path, **settings: Any) -> subprocess.Popen[str]:
    config = folder / "monitor.json"
    config.write_text(
        json.dumps(
            {
                "store": str(folder / "store"),
                "host": "127.0.0.1",
                "port": 0,
                "labels_port": 0,
                "clock": "event",
                "cycle_seconds": 1,
                "models": [{"name": "m", "label_horizon_days": 1, "min_labels": 1}],
            }
            | settings
        )
    )
    environment = os.environ | {
        "MODEL_MONITOR_CONFIG": str(config),
        "PYTHONPATH": str(paths.ROOT / "images" / "model_monitor"),
    }
    with (folder / "stderr").open("w") as told:
        return subprocess.Popen(
            [sys.executable, "-m", "model_monitor", "serve"],
            env=environment,
            stderr=told,
            text=True,
        )


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    process = start(tmp_path)
    told = tmp_path / "stderr"

    def port() -> int:
        assert process.poll() is None, told.read_text()
        lines = [
            json.loads(it)
            for it in told.read_text().splitlines(keepends=True)
            if it.endswith("\n")
        ]
        return next((it["port"] for it in lines if "port" in it), 0)

    try:
        url = f"http://127.0.0.1:{wait_for(port)}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield Service(process, client, told)
    finally:
        process.kill()
        process.wait()


def predictions() -> bytes:
    lines = [
        {
            "id": f"id-{number}",
            "row": 0,
            "time": "2026-11-01T12:00:00.000000Z",
            "model": "m",
            "version": "1",
            "revision": "r1",
            "arm": "stable",
            "status": 200,
            "latency_seconds": 0.5,
            "features": {"age": number},
            "decision": number % 2,
            "score": number / 10,
        }
        for number in range(10)
    ]
    return gzip.compress("".join(json.dumps(it) + "\n" for it in lines).encode())


def labels() -> str:
    lines = [
        {
            "id": f"id-{number}",
            "label": 1,
            "label_time": "2026-11-03T12:00:00.000000Z",
            "source": "test",
        }
        for number in range(8)
    ]
    return "".join(json.dumps(it) + "\n" for it in lines)


def test_from_a_shipped_file_and_posted_labels_to_a_scrape(service: Service) -> None:
    client = service.client
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 200
    name = "/v1/logs/predictions-host-2026-1-1.jsonl.gz"
    assert client.put(name, content=predictions()).status_code == 201
    answer = client.post("/v1/labels", content=labels())
    assert answer.is_success, answer.text
    quality = "model_quality accuracy 7d"
    found = wait_for(lambda: (it := service.values()).get(quality) and it)
    # Of ids 0 to 7 all are labelled 1, and the odd ones were decided so.
    assert found[quality] == 0.5
    assert found["model_labelled_predictions 7d"] == 8
    assert found["model_label_coverage_ratio 7d"] == 0.8
    assert found["monitor_files_total ingested"] == 1
    assert found["monitor_labels_total joined"] == 8
    assert found["monitor_cycle_failures"] == 0
    assert found["monitor_log_stale"] == 1
    assert not [it for it in found if it.partition(" ")[0].endswith("_created")]
    # Figures are there before the end of their pass, which the line tells.
    assert wait_for(lambda: any(it["message"] == "counted" for it in service.log()))

    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(PATIENCE_SECONDS) == 0
    assert service.log()[-1]["message"] == "ended"
    assert all({"time", "level", "message"} <= set(it) for it in service.log())


def test_the_port_for_labels_takes_labels_alone(service: Service) -> None:
    serving = next(it for it in service.log() if it["message"] == "serving")
    assert serving["labels_port"] != serving["port"]
    url = f"http://127.0.0.1:{serving['labels_port']}"
    with httpx.Client(base_url=url, trust_env=False) as client:
        assert client.post("/v1/labels", content=labels()).status_code == 200
        name = "/v1/logs/predictions-host-2026-1-1.jsonl.gz"
        refused = client.put(name, content=predictions())
        assert refused.status_code == 404
        assert refused.json()["error"]["fix"] == "POST /v1/labels"
        for path in ("/metrics", "/healthz", "/v1/labels/", "//v1/labels"):
            assert client.get(path).status_code == 404


def test_a_cycle_that_fails_is_reported_and_the_next_goes_on(
    service: Service, tmp_path: Path
) -> None:
    wait_for(lambda: service.values()["monitor_cycle_timestamp_seconds"])
    results = tmp_path / "store" / "results"
    (results / "m.json").unlink(missing_ok=True)
    # A file where a folder belongs: what a pass writes cannot be written.
    results.rmdir()
    results.write_text("")
    service.client.put(
        "/v1/logs/predictions-host-2026-1-1.jsonl.gz", content=predictions()
    )
    wait_for(lambda: service.values()["monitor_cycle_failures"] >= 1)
    assert service.client.get("/healthz").status_code == 200
    (failure, *_) = [it for it in service.log() if it["level"] == "error"]
    assert failure["message"] == "the cycle failed"
    results.unlink()
    results.mkdir()
    wait_for(lambda: not service.values()["monitor_cycle_failures"])
    wait_for(lambda: service.values().get("model_labelled_predictions 7d") == 0)


def test_wrong_settings_end_it_at_once(tmp_path: Path) -> None:
    process = start(tmp_path, clock="sun", port=-1)
    assert process.wait(PATIENCE_SECONDS) == 2
    told = (tmp_path / "stderr").read_text().splitlines()
    path = tmp_path / "monitor.json"
    assert told == [
        f"error: {path}: clock='sun': is not one of wall, event; take one of them",
        f"error: {path}: port=-1: must lie between 0 and 65535; change it",
    ]
