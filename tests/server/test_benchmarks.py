"""The benchmark's parts that a wrong figure could hide in."""

from __future__ import annotations

import shutil

import pytest

from benchmarks import gateway, load, report, servers
from benchmarks.contender import Contender, Round
from tests.server.conftest import COLUMNS
from tests.support.model_server import ModelServer

REPORT = """Running 3s test @ http://127.0.0.1:18080/infer
  1 threads and 32 connections
  Latency Distribution
     50%    4.97ms
     75%    8.00ms
     90%   20.10ms
     99%    1.20s
  17012 requests in 3.01s, 6.10MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 4
"""


def test_a_report_of_wrk_is_read() -> None:
    found = load.parse_wrk(REPORT)
    assert found == load.Load(17012, 3.01, 4.97e-3, 1.2, 7)
    with pytest.raises(ValueError, match="not a report"):
        load.parse_wrk("unable to connect")


@pytest.mark.parametrize(("share", "expected"), [(0.5, 51.0), (0.99, 100.0)])
def test_percentiles(share: float, expected: float) -> None:
    assert load.percentile([float(n) for n in range(100, 0, -1)], share) == expected


def test_the_generator_counts_what_the_server_counts(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    which = shutil.which
    monkeypatch.setattr(
        shutil, "which", lambda name: None if name == "wrk" else which(name)
    )
    body = (
        b'{"inputs":[{"name":"X","shape":[1,%d],"datatype":"FP32","data":[1,2,3,4]}]}'
    )
    before = server.metrics()["model_requests_total"]
    found = load.generate(f"{server.url}/infer", body % COLUMNS, 4, 1)
    assert found.requests == server.metrics()["model_requests_total"] - before > 10
    assert found.errors == 0
    assert 0 < found.p50 <= found.p99 < 5
    found = load.generate(f"{server.url}/infer", b"{", 1, 1)
    assert found.errors == found.requests > 0


def test_the_gateway_report_asks_both(server: ModelServer) -> None:
    url = f"{server.url}/infer"
    before = server.metrics()["model_requests_total"]
    lines = gateway.report(url, url, 20)
    assert server.metrics()["model_requests_total"] - before == 240
    assert lines[0].startswith("gateway: p50 ")
    assert "the gateway adds at p50: " in lines[2]


def contender(name: str, cpu: float, p50: float, memory: int) -> Contender:
    """One that took so many seconds of CPU time for each of 1,000 requests."""
    found = Round(load.Load(1000, 1.0, p50, 2 * p50, 0), 1000 * cpu)
    running = servers.Running(name, "", 0)
    rounds = {"many": [found] * 3, "single": [found] * 3, "memory_bytes": memory}
    return Contender(name, running, "", b"", **rounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("cpu", "p50", "memory", "missed"),
    [
        (100e-6, 1e-3, 90, []),
        (115e-6, 1e-3, 90, ["CPU at most 2.2 times the floor: 2.30"]),
        (109e-6, 1e-3, 90, ["at least 10 times MLServer's requests/s/core: 9.82"]),
        (100e-6, 3e-3, 90, ["p50 at one connection at most FastAPI's: 1.50"]),
        (100e-6, 1e-3, 99, ["memory at most FastAPI's: 1.03"]),
    ],
)
def test_the_aims_are_held(
    capsys: pytest.CaptureFixture[str],
    cpu: float,
    p50: float,
    memory: int,
    missed: list[str],
) -> None:
    mlserver = 1070e-6 if "MLServer" in "".join(missed) else 2e-3
    found = [
        contender("ours, JSON", cpu, p50, memory),
        contender("FastAPI", 480e-6, 2e-3, 96),
        contender("MLServer", mlserver, 2e-3, 150),
        contender("static answer", 40e-6, 1e-3, 20),
    ]
    status = report.report(found, 100_000, 32)
    printed = capsys.readouterr().out
    assert [line[5:-7] for line in printed.splitlines() if "MISSED" in line] == missed
    assert status == bool(missed)
    assert "KServe" not in printed
