"""A scrape and the probes, as Prometheus and the kubelet ask."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from log_shipper.metrics import MetricsCollector
from log_shipper.web import Server
from prometheus_client.parser import text_string_to_metric_families

from tests.support.prometheus_text import samples
from toolchain import paths

CONTRACT = yaml.safe_load(
    (paths.ROOT / "contracts/log_shipper_metrics.yaml").read_text()
)["metrics"]


@pytest.fixture
def server() -> Iterator[Server]:
    listening = Server("127.0.0.1", 0, MetricsCollector(), threading.Event())
    listening.start()
    yield listening
    listening.server_close()


def ask(server: Server, path: str) -> tuple[int, str, str]:
    """Status, type and text of an answer."""
    port = server.server_address[1]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, answer.headers["content-type"], text


def test_a_scrape_shows_what_the_contract_says_and_nothing_else(
    server: Server,
) -> None:
    status, kind, text = ask(server, "/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=0.0.4")
    expected: dict[Any, str] = {}
    for name, facts in CONTRACT.items():
        (label, values) = next(iter(facts.get("labels", {"": [""]}).items()))
        for value in values:
            labels = ((label, value),) if label else ()
            expected[name, labels] = facts["kind"]
    found = {
        (sample.name, tuple(sample.labels.items())): family.type
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found == expected
    assert all(f.documentation for f in text_string_to_metric_families(text))
    assert set(samples(text).values()) == {0.0}


def test_a_scrape_shows_what_was_counted(server: Server) -> None:
    metrics = server.metrics
    metrics.files.update({"sent": 3, "conflict": 1})
    metrics.retries["busy"] += 2
    metrics.bytes = 4_000_000_000
    metrics.waiting_files = 7
    metrics.lost_files = 5
    metrics.last_success = 1_764_400_000.25
    metrics.oldest_modified = time.time() - 90
    found = samples(ask(server, "/metrics")[2])
    assert found.pop(("log_shipper_oldest_waiting_seconds",)) == pytest.approx(
        90, abs=5
    )
    assert {key: value for key, value in found.items() if value} == {
        ("log_shipper_files_total", "sent"): 3,
        ("log_shipper_files_total", "conflict"): 1,
        ("log_shipper_retries_total", "busy"): 2,
        ("log_shipper_bytes_total",): 4e9,
        ("log_shipper_waiting_files",): 7,
        ("log_shipper_lost_files_total",): 5,
        ("log_shipper_last_success_timestamp_seconds",): 1_764_400_000.25,
    }


def test_a_clock_that_was_set_back_gives_no_negative_age(server: Server) -> None:
    server.metrics.oldest_modified = time.time() + 100
    found = samples(ask(server, "/metrics")[2])
    assert found["log_shipper_oldest_waiting_seconds",] == 0


def test_probes(server: Server) -> None:
    assert ask(server, "/healthz")[0] == 200
    assert ask(server, "/readyz")[0] == 503
    server.is_ready.set()
    assert ask(server, "/readyz")[0] == 200
    assert ask(server, "/other")[0] == 404


def test_a_caller_that_sends_nothing_does_not_hold_up_probes(server: Server) -> None:
    port = server.server_address[1]
    with socket.create_connection(("127.0.0.1", port)):
        assert ask(server, "/healthz")[0] == 200


def test_the_contract_says_what_each_means() -> None:
    for name, facts in CONTRACT.items():
        assert name.startswith("log_shipper_")
        assert facts["meaning"], name
        assert facts["kind"] == ("counter" if name.endswith("_total") else "gauge")
    assert json.dumps(CONTRACT), "plain data"
