"""Monitor and job as processes: a log goes in, attributions and an alert come out."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from model_monitor.store import Store
from onnx import helper, numpy_helper
from prometheus_client.parser import text_string_to_metric_families

from tests.monitor.test_cycle_serve import start, wait_for
from tests.support.monitor_logs import Row, put_predictions
from tests.support.onnx_models import entry, write_model
from toolchain import paths

FIRST = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
DAYS = 6
ROWS = 300
WEIGHTS = np.array([3.0, 1.0, 0.3, 0.0], np.float32)
FEATURES = ("a", "b", "c", "sex")
IMAGES = paths.ROOT / "images"


def write_folder(folder: Path) -> None:
    """A model of four features, one of them protected and so not in the log."""
    write_model(
        folder,
        [
            helper.make_node("MatMul", ["input", "w"], ["raw"]),
            helper.make_node("Sigmoid", ["raw"], ["probability"]),
        ],
        [entry("input", "FP32", (-1, 4))],
        [entry("probability", "FP32", (-1, 1))],
        initializers=[numpy_helper.from_array(WEIGHTS[:, None], "w")],
        features=list(FEATURES),
        log={"keep": ["a", "b", "c"], "protected": ["sex"]},
    )
    reference = {"rows": 0, "features": {"sex": {"categories": {"1": 5, "2": 5}}}}
    (folder / "reference.json").write_text(json.dumps(reference))


def write_log(root: Path) -> None:
    """Six days; on the last two the first feature is constant, and so without part."""
    random = np.random.default_rng(1)
    with Store(root).opened() as store:
        for day in range(DAYS):
            values = random.normal(size=(ROWS, 3))
            if day >= DAYS - 2:
                values[:, 0] = 0.0
                values[:, 1] *= 0.1
            scores = 1 / (1 + np.exp(-(values @ WEIGHTS[:3].astype(float))))
            rows = [
                Row(
                    f"{day}-{number}",
                    FIRST + dt.timedelta(days=day),
                    score=float(scores[number]),
                    decision=str(int(scores[number] > 0.5)),
                    features=dict(zip("abc", values[number].tolist(), strict=True)),
                )
                for number in range(ROWS)
            ]
            put_predictions(store, f"p{day}", rows, "m")
        now = Row("now", FIRST + dt.timedelta(days=DAYS))
        put_predictions(store, "now", [now], "m")


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[httpx.Client]:
    write_folder(tmp_path / "m")
    write_log(tmp_path / "store")
    (tmp_path / "token").write_text("secret")
    model = {
        "name": "m",
        "reference": str(tmp_path / "m" / "reference.json"),
        "label_horizon_days": 0,
        "drift": {"min_rows": 100},
        "attributions": {"reference_days": 4},
    }
    process = start(
        tmp_path, tokens={"attributions": str(tmp_path / "token")}, models=[model]
    )
    told = tmp_path / "stderr"

    def port() -> int:
        assert process.poll() is None, told.read_text()
        lines = told.read_text().splitlines(keepends=True)
        found = [json.loads(it) for it in lines if it.endswith("\n")]
        return next((it["port"] for it in found if "port" in it), 0)

    try:
        url = f"http://127.0.0.1:{wait_for(port)}"
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            yield client
    finally:
        process.kill()
        process.wait()


def job(folder: Path, client: httpx.Client, **settings: Any) -> subprocess.Popen[str]:
    file = folder / "job.json"
    content = {
        "monitor": str(client.base_url).rstrip("/"),
        "token": str(folder / "token"),
        "models": [{"name": "m", "folder": str(folder / "m")}],
        **settings,
    }
    file.write_text(json.dumps(content))
    path = f"{IMAGES / 'model_attributions'}:{IMAGES / 'model_server'}"
    return subprocess.Popen(
        [sys.executable, "-m", "model_attributions"],
        env=os.environ | {"MODEL_ATTRIBUTIONS_CONFIG": str(file), "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def values(client: httpx.Client) -> dict[str, float]:
    """Samples of attributions by name and feature."""
    text = client.get("/metrics").raise_for_status().text
    return {
        " ".join([it.name, *filter(None, [it.labels.get("feature")])]): it.value
        for family in text_string_to_metric_families(text)
        for it in family.samples
        if "attribution" in it.name
    }


def has(client: httpx.Client, name: str, value: float) -> Callable[[], Any]:
    return lambda: (it := values(client)).get(name) == value and it


def test_from_a_log_to_drift_of_attributions(
    monitor: httpx.Client, tmp_path: Path
) -> None:
    missing = "model_attribution_days_missing"
    wait_for(has(monitor, missing, DAYS))
    # Killed in the middle, once it has handed a day over.
    killed = job(tmp_path, monitor, rows_per_second=20_000)
    done = tmp_path / "store" / "attributions" / "model=m" / "revision=r1"
    wait_for(lambda: list(done.glob("date=*.json")))
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(list(done.glob("date=*.json"))) < DAYS
    for _ in range(2):
        process = job(tmp_path, monitor)
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
    found = wait_for(has(monitor, "model_attribution_drift_detected", 1))
    assert found[missing] == 0
    assert found["model_attribution_ndcg"] < 0.9
    assert found["model_attribution a"] == 0
    assert (
        found["model_attribution_reference a"] > found["model_attribution_reference b"]
    )
    assert "model_attribution sex" not in found
    days = [json.loads(it.read_text()) for it in sorted(done.glob("date=*.json"))]
    assert [it["date"] for it in days] == [
        (FIRST + dt.timedelta(days=it)).date().isoformat() for it in range(DAYS)
    ]
    for it in days:
        assert it["filled"] == ["sex"]
        # Its weight is 0, so the scores are those of the log.
        assert it["disagreement"] < 1e-6
    # The log is as it was: nothing of this was a prediction.
    (results,) = (tmp_path / "store" / "results").glob("*.json")
    (revision,) = json.loads(results.read_text())["revisions"]
    assert sum(it["answered"] for it in revision["history"]) == DAYS * ROWS + 1


def test_a_job_that_cannot_ends_with_the_reason(
    monitor: httpx.Client, tmp_path: Path
) -> None:
    wait_for(has(monitor, "model_attribution_days_missing", DAYS))
    process = job(tmp_path, monitor, seconds=1, rows_per_second=100)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "repetitions within its time, 2 are needed" in said
    (tmp_path / "token").write_text("other")
    process = job(tmp_path, monitor)
    said, _ = process.communicate(timeout=120)
    # The monitor reads its token's file anew for each request: both have the same.
    assert process.returncode == 0, said
    settings = {"repetitions": 1, "monitor": "https://x", "more": 1}
    process = job(tmp_path, monitor, **settings)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    for reason in ("repetitions=1", "monitor='https://x'", "more: no such setting"):
        assert reason in said


def test_a_monitor_that_is_not_there_is_asked_a_few_times() -> None:
    from model_attributions.monitor import ATTEMPTS, Monitor, MonitorError

    pauses: list[float] = []
    with pytest.raises(MonitorError, match="GET /v1/attributions/m/r%3A1/days"):
        Monitor("http://127.0.0.1:9", "t", pauses.append).work("m", "r:1")
    assert pauses == [1, 2, 4, 8]
    assert len(pauses) == ATTEMPTS - 1
