"""`python -m benchmarks.model_server`: our server against FastAPI and the bare runtime.

All run the same model on the same core, in turn, in one run; only ratios are worth
comparing between machines. Servers sit on core 0, the load on core 1.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sklearn.ensemble import GradientBoostingClassifier

from benchmarks.load import Load, generate, has_wrk
from benchmarks.model_folder import made_up_rows, write_model_folder
from benchmarks.servers import ROOT, SERVER_CORE, Running, fastapi, model_server

COLUMNS = 20
CONNECTIONS = 32
AIM_RATIO = 3.5


@dataclass(frozen=True)
class Round:
    """One server under load for some seconds."""

    load: Load
    cpu_seconds: float

    @property
    def per_core(self) -> float:
        """Requests per second of CPU time: what one whole core would answer."""
        return self.load.requests / self.cpu_seconds


def main() -> int:
    """Run the comparison and print it; return 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 51))
    parser.add_argument("--seconds", type=int, default=4, choices=range(1, 61))
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    if busy > 1:
        print(
            f"note: load average {busy:.0f}: other tasks run too; requests/s and "
            "latencies suffer, figures per core less"
        )
    if len(os.sched_getaffinity(0)) < 2:
        print("needs two cores: one for the server, one for the load", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        return _compare(Path(folder), options.rounds, options.seconds)


def _compare(folder: Path, rounds: int, seconds: int) -> int:
    rows, labels = made_up_rows(5000, COLUMNS)
    classifier = GradientBoostingClassifier(n_estimators=100, max_depth=3)
    classifier.fit(rows[:4000], labels[:4000])
    models = folder / "models"
    write_model_folder(models, classifier, COLUMNS)
    log = folder / "log"
    log.mkdir()
    tensor = {"name": "X", "shape": [1, COLUMNS], "datatype": "FP32"}
    row = [round(float(value), 4) for value in rows[4000]]
    body = json.dumps({"inputs": [{**tensor, "data": row}]}).encode()
    tool = "wrk" if has_wrk() else "own generator"
    print(
        f"model: 100 trees of depth 3, {COLUMNS} floats, one row a request; "
        f"{rounds} rounds of {seconds} s each in turn; load by {tool}"
    )
    with model_server(models, log) as ours, fastapi(models) as theirs:
        _check_equal(ours, theirs, body)
        for server in (ours, theirs):
            _round(server, body, CONNECTIONS, 1)
        many = [
            tuple(_round(it, body, CONNECTIONS, seconds) for it in (ours, theirs))
            for _ in range(rounds)
        ]
        single = [
            tuple(_round(it, body, 1, seconds) for it in (ours, theirs))
            for _ in range(rounds)
        ]
    raw = [_raw_loop(models, seconds) for _ in range(min(rounds, 3))]
    return _report(many, single, statistics.median(raw))


def _round(server: Running, body: bytes, connections: int, seconds: int) -> Round:
    before = server.cpu_seconds()
    load = generate(server.url, body, connections, seconds)
    if load.errors:
        raise RuntimeError(f"{server.name}: {load.errors} of {load.requests} failed")
    return Round(load, server.cpu_seconds() - before)


def _raw_loop(models: Path, seconds: int) -> float:
    """Return the single-row runs that one CPU second has room for."""
    command = [
        "taskset",
        "-c",
        SERVER_CORE,
        sys.executable,
        "-m",
        "benchmarks.raw_loop",
    ]
    text = subprocess.run(
        [*command, str(models / "tiny"), str(seconds)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    ).stdout
    return float(text)


def _check_equal(ours: Running, theirs: Running, body: bytes) -> None:
    answers = []
    for server in (ours, theirs):
        request = urllib.request.Request(  # noqa: S310, loopback
            server.url, body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            answers.append(json.load(answer)["outputs"][1]["data"])
    if any(abs(a - b) > 1e-6 for a, b in zip(*answers, strict=True)):
        raise RuntimeError(f"the servers disagree: {answers}")


def _report(
    many: list[tuple[Round, ...]], single: list[tuple[Round, ...]], raw: float
) -> int:
    for title, rounds in (
        (f"{CONNECTIONS} connections", many),
        ("1 connection", single),
    ):
        print(f"\n{title:16}{'model_server':>14}{'FastAPI':>14}   ratio (spread)")
        _line("requests/s/core", rounds, lambda it: it.per_core, "{:.0f}")
        _line("CPU us/request", rounds, lambda it: 1e6 / it.per_core, "{:.0f}")
        _line(
            "requests/s",
            rounds,
            lambda it: it.load.requests / it.load.seconds,
            "{:.0f}",
        )
        _line("p50 ms", rounds, lambda it: it.load.p50 * 1e3, "{:.2f}")
        _line("p99 ms", rounds, lambda it: it.load.p99 * 1e3, "{:.2f}")
    per_core = statistics.median(ours.per_core for ours, _ in many)
    print(
        f"\nbare onnxruntime, a call per row: {raw:.0f} calls/s/core; model_server "
        f"reaches {per_core / raw:.0%} of it with HTTP, JSON, counters and log"
    )
    ratio = _ratio(many, lambda it: it.per_core)
    wait = _ratio(single, lambda it: it.load.p50)
    kept = ratio >= AIM_RATIO and wait <= 1
    print(
        f"aims: {ratio:.2f} times FastAPI's requests/s/core (at least {AIM_RATIO}), "
        f"{wait:.2f} of its p50 at one connection (at most 1): "
        f"{'kept' if kept else 'MISSED'}"
    )
    return 0 if kept else 1


def _line(
    name: str,
    rounds: list[tuple[Round, ...]],
    value: Callable[[Round], float],
    form: str,
) -> None:
    columns = [
        form.format(statistics.median(value(pair[index]) for pair in rounds))
        for index in (0, 1)
    ]
    ratios = [value(ours) / value(theirs) for ours, theirs in rounds]
    print(
        f"{name:16}{columns[0]:>14}{columns[1]:>14}   {statistics.median(ratios):.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )


def _ratio(rounds: list[tuple[Round, ...]], value: Callable[[Round], float]) -> float:
    return statistics.median(value(ours) / value(theirs) for ours, theirs in rounds)


if __name__ == "__main__":
    sys.exit(main())
