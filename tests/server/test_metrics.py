"""/metrics: parsed by Prometheus's own reader, labels, counts that add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.conftest import COLUMNS
from tests.support.contracts import contract
from tests.support.model_server import SERVER, ModelServer, request

CONTRACT = contract("server_metrics")
LABELS = set(CONTRACT["model_labels"])


@pytest.fixture
def counted(models: Path, log_folder: Path) -> ModelServer:
    return ModelServer(
        models,
        log_folder,
        NAMESPACE="models",
        ARM="canary",
        REVISION="r-7",
        MAX_REQUEST_ROWS=10,
    )


def test_counts_and_labels(counted: ModelServer) -> None:
    with counted as server:
        for _ in range(7):
            server.client.post("/infer", json=request([1] * 8, COLUMNS))
        for content in (b"{", b"{}", b"[]"):
            server.client.post("/infer", content=content)
        server.client.post("/infer", json=request([1] * 44, COLUMNS))
        server.client.get("/nowhere")
        answer = server.client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {
            family.name: family
            for family in text_string_to_metric_families(answer.text)
        }
    for name in ("model_requests", "model_latency_seconds", "model_saturation"):
        for sample in families[name].samples:
            assert set(sample.labels) - {"le"} == LABELS
            assert sample.labels["model"] == "tiny"
            assert sample.labels["revision"] == "r-7"
            assert sample.labels["runtime"] == "onnxruntime"
            assert sample.labels["namespace"] == "models"
            assert sample.labels["arm"] == "canary"
    errors = {
        (sample.labels["status"], sample.labels["code"]): sample.value
        for sample in families["model_errors"].samples
    }
    # The server's own errors are there before the first one, for rate() to see it.
    assert errors == {
        ("500", "internal"): 0,
        ("500", "model_failed"): 0,
        ("503", "overloaded"): 0,
        ("504", "deadline_exceeded"): 0,
        ("400", "invalid_json"): 1,
        ("400", "invalid_request"): 2,
        ("413", "too_many_rows"): 1,
    }
    values = {
        sample.name: sample.value
        for family in families.values()
        for sample in family.samples
        if "le" not in sample.labels
    }
    assert values["model_requests_total"] == 11
    assert values["model_latency_seconds_count"] == 11
    assert 0 < values["model_latency_seconds_sum"] < 11
    assert values["model_queue_seconds_count"] == 7
    assert values["model_batch_rows_sum"] == 14
    assert values["model_inflight"] == 0
    assert values["model_ready"] == 1
    assert 0 <= values["model_saturation"] <= 1
    assert values["model_server_http_errors_total"] == 1
    assert values["process_resident_memory_bytes"] > 10_000_000
    assert values["model_server_connections"] == 1


def test_buckets_grow_and_end_at_the_count(server: ModelServer) -> None:
    server.client.post("/infer", json=request([1] * 8, COLUMNS))
    text = server.client.get("/metrics").text
    histograms = 0
    for family in text_string_to_metric_families(text):
        if family.type != "histogram":
            continue
        histograms += 1
        buckets = [
            (float(sample.labels["le"]), sample.value)
            for sample in family.samples
            if sample.name.endswith("_bucket")
        ]
        count = next(s.value for s in family.samples if s.name.endswith("_count"))
        assert buckets == sorted(buckets)
        assert [value for _, value in buckets] == sorted(value for _, value in buckets)
        assert buckets[-1] == (float("inf"), count)
    assert histograms == 3


def test_saturation_follows_the_cpu_share(monkeypatch: pytest.MonkeyPatch) -> None:
    from model_server.process import Usage

    clock = [0.0, 0.0, 0.0]
    monkeypatch.setattr(Usage, "_times", lambda self: tuple(clock))

    def run(usage: Usage, process: float, thread: float) -> float:
        for _ in range(20):
            clock[:] = clock[0] + 1, clock[1] + process, clock[2] + thread
            share = usage.sample()
        return share

    usage = Usage(cpu_limit=2.0)
    assert run(usage, 0.1, 0.05) == pytest.approx(0.05, abs=0.01)
    # The event loop's one CPU is used up though the limit of two is not.
    assert run(usage, 1.0, 0.95) == pytest.approx(0.95, abs=0.01)
    # The limit is used up by the model's threads though the loop is idle.
    assert run(usage, 2.2, 0.1) == pytest.approx(1.0, abs=0.01)
    assert run(usage, 0.0, 0.0) == pytest.approx(0.0, abs=0.01)


def test_a_scrape_shows_what_the_contract_says(server: ModelServer) -> None:
    server.client.get("/nowhere")
    server.client.post("/infer", json=request([1] * 8, COLUMNS))
    found: dict[str, tuple[str, set[str]]] = {}
    text = server.client.get("/metrics").text
    for family in text_string_to_metric_families(text):
        ending = "_total" if family.type == "counter" else ""
        labels = set().union(*(sample.labels for sample in family.samples)) - {"le"}
        found[f"{family.name}{ending}"] = family.type, labels
    assert found == {
        name: (
            metric["kind"],
            {*metric.get("labels", ()), *(LABELS if "of" in metric else ())},
        )
        for name, metric in CONTRACT["metrics"].items()
    }


def test_the_readme_names_every_metric(server: ModelServer) -> None:
    readme = (SERVER / "README.md").read_text()
    text = server.client.get("/metrics").text
    for family in text_string_to_metric_families(text):
        ending = "_total" if family.type == "counter" else ""
        assert f"`{family.name}{ending}`" in readme
