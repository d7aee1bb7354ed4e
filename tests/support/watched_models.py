"""A small store that the real monitor fills and serves: what the console is shown.

Three models: `loans` (binary, with drift, a failing revision and small groups),
`prices` (regression, without a reference) and `idle`, which never had a record.
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from model_monitor import __main__ as program

from toolchain import paths

PATIENCE_SECONDS = 90.0
FIRST = dt.datetime(2026, 10, 1, 12, tzinfo=dt.UTC)
ROWS = 500
"""Of each day and revision."""
MIN_GROUP = 100
REGIONS = ("east", "north", "south", "west")
EDGES = [18, 25, 35, 45, 55, 65, 90]


def configuration(folder: Path) -> dict[str, Any]:
    return {
        "store": str(folder / "store"),
        "host": "127.0.0.1",
        "port": 0,
        "labels_port": 0,
        "clock": "event",
        "cycle_seconds": 1,
        "models": [
            {
                "name": "loans",
                "reference": str(folder / "loans" / "reference.json"),
                "label_horizon_days": 1,
                "quality": [{"metric": "accuracy", "baseline": 0.85}],
                "fairness": {"attributes": ["SEX", "ORIGIN"], "min_group": MIN_GROUP},
                "approved_revisions": ["r1"],
                "review_by": "2026-10-05",
            },
            {
                "name": "prices",
                "task": "regression",
                "label_horizon_days": 1,
                "quality": [{"metric": "mae", "baseline": 3.0, "margin": 0.5}],
            },
            {"name": "idle"},
        ],
    }


def fill(folder: Path) -> Path:
    """Import the models' logs and labels; the configuration file of the store.

    The import is done once for all tests of a process.
    """
    shutil.copytree(_imported(), folder, dirs_exist_ok=True)
    return _configure(folder)


@functools.cache
def _imported() -> Path:
    kept = tempfile.TemporaryDirectory(prefix="watched-models-")
    atexit.register(kept.cleanup)
    folder = Path(kept.name)
    _import_all(folder)
    return folder


def _configure(folder: Path) -> Path:
    config = folder / "monitor.json"
    config.write_text(json.dumps(configuration(folder)))
    return config


def _import_all(folder: Path) -> None:
    config = _configure(folder)
    _reference(folder / "loans")
    random = np.random.default_rng(20261001)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MODEL_MONITOR_CONFIG", str(config))
        _loans(folder, random, "r1", range(8), older=False)
        _loans(folder, random, "r2", range(6, 12), older=True)
        _prices(folder, random)


def _reference(folder: Path) -> None:
    folder.mkdir()
    ages = {"edges": EDGES, "counts": [112, 196, 276, 239, 126, 51]}
    debts = {"edges": [0, 10, 20, 30], "counts": [333, 334, 333]}
    content = {
        "revision": "r1",
        "rows": 1000,
        "features": {
            "age": {"histogram": ages, "missing": 0},
            "region": {"categories": dict.fromkeys(REGIONS, 250)},
            "debt": {"histogram": debts},
        },
        "score": {"histogram": {"edges": [0, 0.5, 1], "counts": [600, 400]}},
        "decision": {"0": 600, "1": 400},
    }
    (folder / "reference.json").write_text(json.dumps(content))


def _loans(
    folder: Path,
    random: np.random.Generator,
    revision: str,
    days: range,
    *,
    older: bool,
) -> None:
    """Rows of a revision; where `older`, of other people than the reference has."""
    n = ROWS * len(days)
    mean = 62 if older else 42
    ages = np.clip(random.normal(mean, 14, n), 18, 89)
    positive = random.random(n) < 0.4
    right = random.random(n) < (0.74 if older else 0.86)
    regions = random.choice([*REGIONS, "abroad"] if older else REGIONS, n)
    origins = random.choice(["A", "B", "C"], n, p=[0.596, 0.4, 0.004])
    moments = [FIRST + dt.timedelta(days=days[number // ROWS]) for number in range(n)]
    log = _Log(
        "loans",
        revision,
        {
            "id": [f"{revision}-{number}" for number in range(n)],
            "moment": pa.array(moments, pa.timestamp("us", "UTC")),
            "decision": np.where(positive == right, 1, 0),
            "score": np.where(positive == right, 0.8, 0.2),
            "age": np.where(random.random(n) < 0.1, np.nan, ages) if older else ages,
            "region": regions,
            "debt": random.uniform(0, 30, n),
            "SEX": random.choice(["1", "2"], n),
            "ORIGIN": origins,
        },
        positive.astype(int),
        moments,
    )
    _import(folder, log)


def _prices(folder: Path, random: np.random.Generator) -> None:
    """Numbers, whose labels come as a file of the labels' own form."""
    n = 5 * ROWS
    truth = random.normal(100, 10, n)
    moments = [FIRST + dt.timedelta(days=number // ROWS) for number in range(n)]
    columns = {
        "id": [f"p-{number}" for number in range(n)],
        "moment": pa.array(moments, pa.timestamp("us", "UTC")),
        "decision": truth + random.normal(0, 3, n),
    }
    _import(folder, _Log("prices", "r1", columns, None, moments))
    known = [
        f"{moment + dt.timedelta(hours=20):%Y-%m-%dT%H:%M:%SZ}" for moment in moments
    ]
    lines = [
        json.dumps(
            {"id": f"p-{number}", "label": value, "label_time": time, "source": "sales"}
        )
        for number, (value, time) in enumerate(zip(truth.tolist(), known, strict=True))
    ]
    file = folder / "prices.jsonl"
    file.write_text("\n".join(lines) + "\n")
    assert program.main(["import-labels", str(file)]) == 0


@dataclass(frozen=True)
class _Log:
    """Rows of one revision with their labels; one value for each row."""

    model: str
    revision: str
    columns: dict[str, Any]
    truth: Any
    moments: list[dt.datetime]


def _import(folder: Path, log: _Log) -> None:
    model, revision, columns, truth = log.model, log.revision, log.columns, log.truth
    predictions = folder / f"{model}-{revision}.parquet"
    pq.write_table(pa.table(columns), predictions)
    options = {
        "model": model,
        "predictions": str(predictions),
        "time": "moment",
        "decision": "decision",
        "revision": revision,
    }
    if truth is not None:
        labels = folder / f"{model}-{revision}-labels.parquet"
        pq.write_table(_labels(log), labels)
        options |= {"labels": str(labels), "label": "label", "label-time": "known"}
    if "score" in columns:
        options |= {"score": "score", "features": "age,region,debt"}
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    assert program.main(["backfill", *words]) == 0


def _labels(log: _Log) -> pa.Table:
    """Labels of 20 hours later; one row in ten has none."""
    kept = [number for number in range(len(log.moments)) if number % 10]
    known = [log.moments[number] + dt.timedelta(hours=20) for number in kept]
    return pa.table(
        {
            "id": [log.columns["id"][number] for number in kept],
            "label": [log.truth[number] for number in kept],
            "known": pa.array(known, pa.timestamp("us", "UTC")),
        }
    )


def wait_for(condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not so within {PATIENCE_SECONDS} s")


@contextmanager
def program_of(
    name: str, words: list[str], folder: Path, variables: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Run an image's program; gives the line of its log that names its ports."""
    told = folder / f"{name}.stderr"
    environment = os.environ | variables
    environment["PYTHONPATH"] = str(paths.ROOT / "images" / name)
    with told.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", name, *words], env=environment, stderr=file
        )

    def ports() -> dict[str, Any] | None:
        assert process.poll() is None, told.read_text()
        lines = told.read_text().splitlines(keepends=True)
        found = [json.loads(it) for it in lines if it[0] == "{" and it[-1] == "\n"]
        return next((it for it in found if "port" in it), None)

    try:
        yield wait_for(ports)
    finally:
        process.kill()
        process.wait()


@contextmanager
def monitor(folder: Path, config: Path) -> Iterator[dict[str, Any]]:
    """The monitor as a process; gives its ports when it listens."""
    variables = {"MODEL_MONITOR_CONFIG": str(config)}
    with program_of("model_monitor", ["serve"], folder, variables) as found:
        yield found
